"""Accuracy and drops, from what the scene drew (truth) and what the device said (its log of predictions)."""

import csv
import dataclasses
import json
import pathlib

NOT_A_DRIFT = {"frame", "seq", "digit", "label", "pool", "dropped"}


@dataclasses.dataclass(frozen=True)
class Row:
    frame: int
    label: str
    predicted: str
    pool: str
    drifted: bool
    adaptation: int  # 0: what the bundle gives; counts up with every adaptation served


class Truth:
    """What a scene drew: truth.csv. Reads on from where it was, since the file only grows."""

    def __init__(self, path: pathlib.Path):
        self.path, self.offset, self.columns = path, 0, None
        self.label: dict[int, str] = {}
        self.pool: dict[int, str] = {}
        self.drifted: dict[int, bool] = {}
        self.dropped: dict[int, bool] = {}

    def refresh(self) -> "Truth":
        if not self.path.exists():
            return self
        with self.path.open(newline="") as file:
            file.seek(self.offset)
            text = file.read()
        text = text[: text.rfind("\n") + 1]
        self.offset += len(text.encode())
        for values in csv.reader(text.splitlines()):
            if self.columns is None:
                self.columns = values
                continue
            row = dict(zip(self.columns, values))
            frame = int(row.get("frame", row.get("seq")))
            self.label[frame], self.pool[frame] = row["label"], row["pool"]
            self.dropped[frame] = row["dropped"] not in ("", "0")
            self.drifted[frame] = any(float(v) != 0 for k, v in row.items() if k not in NOT_A_DRIFT)
        return self

    def onset(self) -> int | None:
        return min((f for f, drifted in self.drifted.items() if drifted), default=None)


def read_predictions(folder: pathlib.Path) -> list[dict]:
    """The device's log of predictions, in order; a torn last line (the agent was killed) is left out."""
    lines = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if "prediction" in record:
                lines.append(record)
    return sorted(lines, key=lambda r: r["index"])


def joined(predictions: list[dict], truth: Truth) -> list[Row]:
    rows = []
    for p in predictions:
        frame = p["frame"]
        if frame in truth.label:
            rows.append(Row(frame, truth.label[frame], p["prediction"], truth.pool[frame], truth.drifted[frame], p["adaptation"]))
    return rows


def accuracy(rows: list[Row]) -> float:
    if not rows:
        return 0.0
    return round(sum(r.label == r.predicted for r in rows) / len(rows), 4)


def drops(truth: Truth, seen: set[int], first: int, last: int) -> int:
    """Frames drawn after `first` up to `last` that the device never saw, by the numbers drawn into them."""
    return sum(1 for frame in range(first + 1, last + 1) if frame not in seen)
