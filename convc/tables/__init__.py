"""What the commands show a person: the tables of `convc cost`."""
