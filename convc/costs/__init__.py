"""What a network costs: operations, bytes, memory, time; forward and backward."""

from convc.costs.memory import peak_activation_bytes
from convc.costs.summary import CONVS, Summary, summarise

__all__ = ["CONVS", "Summary", "peak_activation_bytes", "summarise"]
