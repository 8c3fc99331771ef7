"""The package of docs/plugins.md has tests of its own: `tests.docs.test_plugin` runs them."""

collect_ignore = ["plugin_package"]
