"""Certificates: what every applied rewrite was, what proved it, and how to prove it again.

`Recorder` watches a pipeline, `Certificate` is what it leaves, and `check_proof` replays it.
"""

from convc.certificate.describe import model_digest
from convc.certificate.files import check_proof, proof_path, versions, write_certificate
from convc.certificate.recorder import Recorder
from convc.certificate.records import METADATA, Certificate, PassTrail, Record, Region, Rounding
from convc.certificate.replaying import Replayed, replay

__all__ = [
    "METADATA",
    "Certificate",
    "PassTrail",
    "Record",
    "Recorder",
    "Region",
    "Replayed",
    "Rounding",
    "check_proof",
    "model_digest",
    "proof_path",
    "replay",
    "versions",
    "write_certificate",
]
