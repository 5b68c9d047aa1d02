"""How many requests a server has answered and how long they took, as Prometheus reads it."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Metrics:
    """Counts of one server.

    Attributes:
        statuses: how many requests were answered with each status of HTTP; 499 of those whose
            sender did not wait.
        cases: how many scans were predicted.
        seconds: that their prediction took, without waiting.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    cases: int = 0
    seconds: float = 0.0

    def text(self, queued: int) -> str:
        """Return all of them.

        Args:
            queued: requests that are here now.
        """
        counted = [
            f'sdunet_requests_total{{status="{int(status)}"}} {count}'
            for status, count in sorted(self.statuses.items())
        ]
        lines = [
            "# HELP sdunet_requests_total Requests by the status they were answered with.",
            "# TYPE sdunet_requests_total counter",
            *counted,
            "# HELP sdunet_queue_length Requests that are predicted or wait for it.",
            "# TYPE sdunet_queue_length gauge",
            f"sdunet_queue_length {queued}",
            "# HELP sdunet_predict_seconds Time that predictions took.",
            "# TYPE sdunet_predict_seconds summary",
            f"sdunet_predict_seconds_sum {self.seconds:.6f}",
            f"sdunet_predict_seconds_count {self.cases}",
        ]
        return "\n".join(lines) + "\n"
