"""A fleet as rows: so many devices, so many packages, and all else in proportion, made by the database
itself (one INSERT ... SELECT a table), the same on SQLite and on PostgreSQL.

The rows are made up, their shape is not: ids, keys, documents and the spread over devices, types, states
and 180 days are those of a server that processed what devices sent. Nothing is random: the same fleet
comes out every time.
"""

from __future__ import annotations

import datetime
import json
import time

DAY = 86_400_000
DAYS = 180

EVENT = json.dumps({
    "format": "tinylcm-drift-event/1", "event_id": "@", "sample_index": 18234, "kind": "abrupt",
    "severity": {"sigma": 2.4, "accuracy_drop": 0.31, "interval": [0.22, 0.40]},
    "evidence": {"log10_e": 6.2, "target_samples": 1000000},
    "change_point": {"sample_index": 18197, "interval": [18190, 18203]},
    "signals": [{"name": "anchor_distance", "share": 0.71}, {"name": "confidence", "share": 0.2}],
    "classes": [{"label": "3", "share": 0.55}, {"label": "5", "share": 0.2}],
    "channels": [{"index": 17, "name": "ch17", "shift_sigma": 5.1}],
    "samples": [], "text": "Distances to the known examples rose 2.4 sigma 37 frames ago, most in class 3.",
    "suppressed_since_last": 0})
METRICS = json.dumps({
    "format": "tinylcm-metrics/1", "frames_total": 1000000, "frames_window": 3600, "window_s": 3600,
    "latency_us": {"p50": 8100.0, "p95": 9300.0, "p99": 12100.0}, "confidence": {"mean": 0.93, "p05": 0.61},
    "classes": {str(i): 360 for i in range(10)}, "estimated_accuracy": {"value": 0.95, "low": 0.93, "high": 0.97},
    "cpu_percent": 41.5, "memory_bytes": 91234567, "temperature_c": 61.2, "disk_free_bytes": 12345678901,
    "queue": {"packages": 1, "bytes": 34567}})
ROLLUP = json.dumps({k: [60, 3000.5, 40.1, 60.9] for k in
                     ("latency_us.p50", "latency_us.p99", "confidence.mean", "cpu_percent", "temperature_c")})
MANIFEST = json.dumps({
    "format": "tinylcm-bundle/1", "name": "digits", "version": "1.0.0", "model_family": "digits",
    "device_class": ["any"], "min_agent": "0.1.0", "task": "classification",
    "input": {"kind": "row", "channel_count": 3, "channel_names": ["a", "b", "c"]},
    "labels": [str(i) for i in range(10)], "lineage": {"parent": None, "data": "0" * 64, "taught_by": []},
    "licence": "", "files": [{"path": "config.json", "role": "config", "bytes": 193, "sha256": "0" * 64}]})


class Dialect:
    """What the two databases say differently."""

    def __init__(self, name: str):
        self.is_postgres = name == "postgres"

    def hex(self, number: str, digits: int) -> str:
        if self.is_postgres:
            return f"lpad(to_hex(CAST({number} AS BIGINT)), {digits}, '0')"
        return f"printf('%0{digits}x', {number})"

    def pad(self, number: str, digits: int) -> str:
        if self.is_postgres:
            return f"lpad(CAST({number} AS TEXT), {digits}, '0')"
        return f"printf('%0{digits}d', {number})"

    def series(self, count: int) -> str:
        """A table `s` with a column `i` from 0 to count - 1."""
        if self.is_postgres:
            return f"generate_series(CAST(0 AS BIGINT), {count - 1}) AS s(i)"
        return f"(WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < {count - 1}) SELECT i FROM c) AS s"

    def blob(self, bytes_: int) -> str:
        text = "00" * bytes_
        return f"decode('{text}', 'hex')" if self.is_postgres else f"x'{text}'"


class Fleet:
    def __init__(self, dialect: Dialect, devices: int, packages: int, now_ms: int | None = None):
        self.d, self.devices, self.packages = dialect, devices, packages
        self.now = now_ms or int(time.time() * 1000)
        self.begin = self.now - DAYS * DAY
        self.models, self.versions = 20, 5

    # Ids, in SQL from a number and in Python from the same number.
    def device(self, n: str) -> str:
        return f"('d-' || {self.d.hex(n, 32)})"

    @staticmethod
    def device_id(n: int) -> str:
        return f"d-{n:032x}"

    @staticmethod
    def package_id(device: int, seq: int) -> str:
        return f"d-{device:032x}-{'0' * 15}1-{seq:08d}"

    @staticmethod
    def event_id(n: int) -> str:
        return f"e-{n:016x}"

    @staticmethod
    def sample_id(event: int, k: int) -> str:
        return f"s-{event:016x}-{k:02d}"

    def bundle(self, n: str) -> str:
        return self.d.hex(n, 64)

    def counts(self) -> dict[str, int]:
        """How many rows of what. A device sends a package a few times a day; one in 200 is a drift event."""
        p = self.packages
        return {
            "devices": self.devices, "packages": p, "metrics_points": p // 5, "metrics_rollup": p // 5,
            "drift_events": max(p // 200, 100), "timeline": p // 10, "jobs": p // 10, "feedback": max(p // 400, 50),
            "verdicts": max(p // 40, 100), "logs_index": p // 10, "images_index": p // 10,
            "link_intervals": p // 20, "runs": max(p // 500, 100), "adapted": max(p // 1000, 50),
        }

    def month_bounds(self, table: str) -> list[tuple[str, int, int]]:
        """(name of the part, from, to) for each month from the fleet's first day to two months on."""
        first = datetime.datetime.fromtimestamp(self.begin / 1000, datetime.timezone.utc)
        last = datetime.datetime.fromtimestamp(self.now / 1000 + 62 * 86_400, datetime.timezone.utc)
        out, year, month = [], first.year, first.month
        while (year, month) <= (last.year, last.month):
            following = (year + month // 12, month % 12 + 1)
            begin, end = (int(datetime.datetime(*at, 1, tzinfo=datetime.timezone.utc).timestamp() * 1000)
                          for at in ((year, month), following))
            out.append((f"{table}_{year:04d}_{month:02d}", begin, end))
            year, month = following
        return out

    def statements(self) -> list[tuple[str, str]]:
        """(table, INSERT) in the order in which they run."""
        d, c, begin, now = self.d, self.counts(), self.begin, self.now
        span = now - begin
        out: list[tuple[str, str]] = []

        def insert(table: str, count: int, values: dict[str, str]) -> None:
            out.append((table, f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} "
                               f"FROM {d.series(count)}"))

        def literal(text: str) -> str:
            return "'" + text.replace("'", "''") + "'"

        device = self.device(f"s.i % {self.devices}")
        # Of row i of n, spread evenly over the 180 days. Integer arithmetic in both databases.
        def when(n: int) -> str:
            return f"({begin} + s.i * {span} / {n})"

        versions = self.models * self.versions
        insert("devices", self.devices, {
            "device_id": self.device("s.i"), "name": f"'camera ' || {d.pad('s.i', 6)}",
            "state": "CASE WHEN s.i % 100 = 99 THEN 'pending' ELSE 'active' END",
            "enrolled_at": f"{begin} + s.i", "last_seen": f"{now} - (s.i % 1000) * 1000",
            "fingerprint": d.hex("s.i", 43), "agent_version": "'0.1.0'", "model_family": "'digits'",
            "model_name": f"'model-' || CAST(s.i % {self.models} AS TEXT)", "model_version": "'1.0.0'",
            "bundle": self.bundle(f"s.i % {versions}"),
            "drift_state": "CASE WHEN s.i % 20 = 0 THEN 'drift' WHEN s.i % 20 = 1 THEN 'learning' ELSE 'stable' END",
            "metrics": literal(METRICS)})
        insert("device_keys", self.devices, {
            "device_id": self.device("s.i"), "key_count": "1", "public_key": d.blob(32), "created_at": str(begin)})
        insert("packages", c["packages"], {
            "device_id": device, "epoch": "'0000000000000001'", "seq": f"s.i / {self.devices}",
            "package_id": f"{device} || '-0000000000000001-' || {d.pad(f's.i / {self.devices}', 8)}",
            "type": "CASE s.i % 10 WHEN 0 THEN 'drift_event' WHEN 1 THEN 'update_report' WHEN 2 THEN 'operational_logs' "
                    "WHEN 3 THEN 'sketches' WHEN 4 THEN 'prediction_images' WHEN 5 THEN 'adaptation' ELSE 'metrics' END",
            "bytes": "20000 + s.i % 60000", "sha256": d.hex("s.i", 64),
            "object_key": f"'packages/' || {device} || '/0000000000000001/' || CAST(s.i / {self.devices} AS TEXT)",
            "bundle": self.bundle(f"s.i % {versions}"), "created_at": when(c["packages"]), "received_at": when(c["packages"]),
            "state": "CASE WHEN s.i % 5000 = 4999 THEN 'failed' ELSE 'processed' END",
            "error": "CASE WHEN s.i % 5000 = 4999 THEN 'manifest.json: sha256 differs' ELSE '' END",
            "duplicates": "CASE WHEN s.i % 1000 = 0 THEN 1 ELSE 0 END"})
        # What is kept beside the packages, and counted as they come.
        out.append(("package_names", "INSERT INTO package_names (package_id, device_id, sha256, received_at) "
                                     "SELECT package_id, device_id, sha256, received_at FROM packages"))
        out.append(("package_counts", "INSERT INTO package_counts (device_id, epoch, packages, bytes, seq_min, seq_max, "
                                      "duplicates, last_at) SELECT device_id, epoch, COUNT(*), SUM(bytes), MIN(seq), MAX(seq), "
                                      "SUM(duplicates), MAX(received_at) FROM packages GROUP BY device_id, epoch"))
        insert("metrics_points", c["metrics_points"], {
            "device_id": device, "at": when(c["metrics_points"]), "document": literal(METRICS)})
        insert("metrics_rollup", c["metrics_rollup"], {
            "device_id": device, "at": f"({when(c['metrics_rollup'])} / 3600000) * 3600000 + s.i / {self.devices}",
            "points": "60", "document": literal(ROLLUP)})
        events = c["drift_events"]
        event = f"'e-' || {d.hex('s.i', 16)}"
        insert("drift_events", events, {
            "device_id": device, "event_id": event, "package_id": f"{device} || '-0000000000000001-00000000'",
            "kind": "'abrupt'", "sample_index": "18234 + s.i", "bundle": self.bundle(f"s.i % {versions}"),
            "document": f"replace({literal(EVENT)}, '@', {event})", "received_at": when(events),
            "state": "CASE WHEN s.i % 10 = 0 THEN 'open' ELSE 'answered' END",
            "event_verdict": "CASE WHEN s.i % 10 = 0 THEN NULL ELSE 'real' END"})
        samples = events * 8
        sample_event = f"'e-' || {d.hex('s.i / 8', 16)}"
        sample = f"'s-' || {d.hex('s.i / 8', 16)} || '-' || {d.pad('s.i % 8', 2)}"
        sample_device = self.device(f"(s.i / 8) % {self.devices}")
        insert("drift_samples", samples, {
            "device_id": sample_device, "sample_id": sample, "event_id": sample_event, "sample_index": "18234 + s.i",
            "rank": "s.i % 8", "prediction": "CAST(s.i % 10 AS TEXT)", "confidence": "0.5 + (s.i % 50) / 100.0",
            "reason": "'unlike'", "cluster_mass": "0.25", "neighbours": "'[{\"anchor\":3,\"label\":\"3\",\"distance\":0.5}]'",
            "media": "'image/jpeg'", "object_key": f"'drift-samples/' || {sample_device} || '/' || {sample}"})
        insert("verdicts", c["verdicts"], {
            "device_id": self.device(f"(s.i % {events}) % {self.devices}"),
            "event_id": f"'e-' || {d.hex(f's.i % {events}', 16)}",
            "sample_id": f"'s-' || {d.hex(f's.i % {events}', 16)} || '-' || {d.pad(f'(s.i / {events}) % 8', 2)}",
            "label": "CAST(s.i % 10 AS TEXT)", "given_by": "'ann'", "at": when(c["verdicts"]),
            "feedback_id": f"'f-' || {d.hex('s.i % ' + str(c['feedback']), 16)}"})
        insert("feedback", c["feedback"], {
            "feedback_id": f"'f-' || {d.hex('s.i', 16)}", "device_id": device,
            "event_id": f"'e-' || {d.hex(f's.i % {events}', 16)}", "document": "'{}'", "sha256": d.hex("s.i", 64),
            "state": "CASE WHEN s.i % 50 = 0 THEN 'pending' ELSE 'applied' END", "created_at": when(c["feedback"])})
        insert("timeline", c["timeline"], {
            "device_id": device, "at": when(c["timeline"]), "kind": "'drift'", "text": "'Distances rose 2.4 sigma'",
            "ref": f"'e-' || {d.hex(f's.i % {events}', 16)}"})
        # Those that are done are kept for 30 days.
        jobs = c["jobs"]
        insert("jobs", jobs, {
            "kind": "'unpack'",
            "job_key": f"{device} || '-0000000000000001-' || {d.pad(f'{self.packages // self.devices} - 1 - s.i / {self.devices}', 8)}",
            "payload": "''", "state": "CASE WHEN s.i % 5000 = 4999 THEN 'set_aside' ELSE 'done' END", "attempts": "1",
            "due_at": f"({now - 30 * DAY} + s.i * {30 * DAY} / {jobs})", "lease": "''",
            "error": "CASE WHEN s.i % 5000 = 4999 THEN 'manifest.json: sha256 differs' ELSE '' END",
            "trace": d.hex("s.i", 32), "created_at": f"({now - 30 * DAY} + s.i * {30 * DAY} / {jobs})"})
        insert("logs_index", c["logs_index"], {
            "device_id": device, "boot": "'boot-1'", "seq": f"s.i / {self.devices}",
            "package_id": f"{device} || '-0000000000000001-' || {d.pad(f's.i / {self.devices}', 8)}", "lines": "500",
            "bytes": "60000", "first_at": when(c["logs_index"]), "last_at": when(c["logs_index"]),
            "received_at": when(c["logs_index"]),
            "object_key": f"'data-logs/' || {device} || '/boot-1/' || CAST(s.i / {self.devices} AS TEXT) || '.jsonl'"})
        insert("images_index", c["images_index"], {
            "device_id": device, "sample_id": f"'i-' || {d.hex('s.i', 16)}", "label": "CAST(s.i % 10 AS TEXT)",
            "day": "20261101", "at": when(c["images_index"]), "sample_index": "s.i", "confidence": "0.9",
            "distance": "0.5", "reason": "'sampled'", "bytes": "12000",
            "object_key": f"'prediction-images/' || {device} || '/' || {d.hex('s.i', 16)} || '.jpg'",
            "package_id": f"{device} || '-0000000000000001-00000004'"})
        intervals = c["link_intervals"]
        insert("link_intervals", intervals, {
            "device_id": device, "from_at": when(intervals),
            "until_at": f"CASE WHEN s.i >= {intervals - self.devices} THEN NULL ELSE {when(intervals)} + 3600000 END",
            "state": "CASE WHEN s.i % 10 = 0 THEN 'offline' ELSE 'online' END", "requests": "360"})
        for n, model in enumerate(f"model-{m}" for m in range(self.models)):
            out.append(("models", f"INSERT INTO models (name, model_family, created_at) VALUES ('{model}', 'digits', {begin + n})"))
        insert("bundles", versions, {
            "bundle": self.bundle("s.i"), "archive_sha256": d.hex("s.i + 1000000", 64), "bytes": "900000",
            "object_key": f"'bundles/sha256/' || {d.hex('s.i + 1000000', 64)}", "publisher": "'publisher'",
            "manifest": literal(MANIFEST), "created_at": when(versions)})
        insert("model_versions", versions, {
            "name": f"'model-' || CAST(s.i % {self.models} AS TEXT)", "version": f"CAST(1 + s.i / {self.models} AS TEXT) || '.0.0'",
            "bundle": self.bundle("s.i"), "archive_sha256": d.hex("s.i + 1000000", 64), "stage": "'production'",
            "created_at": when(versions), "created_by": "'ann'"})
        insert("rollouts", 200, {
            "rollout_id": f"'r-' || {d.hex('s.i', 16)}", "name": f"'model-' || CAST(s.i % {self.models} AS TEXT)",
            "version": "'1.0.0'", "bundle": self.bundle(f"s.i % {versions}"),
            "state": "CASE WHEN s.i >= 198 THEN 'running' ELSE 'done' END", "target": "'{}'",
            "created_at": when(200), "created_by": "'ann'"})
        # The newest goes to every device, the others to a hundred each.
        insert("rollout_devices", self.devices, {
            "rollout_id": f"'r-' || {d.hex('199', 16)}", "device_id": self.device("s.i"),
            "state": "CASE WHEN s.i % 3 = 0 THEN 'running' ELSE 'pending' END", "at": f"{now} - s.i"})
        insert("rollout_devices", 199 * 100, {
            "rollout_id": f"'r-' || {d.hex('s.i / 100', 16)}", "device_id": self.device(f"(s.i * 7) % {self.devices}"),
            "state": "'running'", "at": when(199 * 100)})
        insert("rollout_events", self.devices, {
            "rollout_id": f"'r-' || {d.hex('199', 16)}", "entry": "s.i", "at": f"{now} - 100000 + s.i", "kind": "'told'",
            "device_id": self.device("s.i")})
        insert("adaptation_reports", c["adapted"], {
            "device_id": device, "adaptation_id": f"'a-' || {d.hex('s.i', 16)}", "seq": f"s.i / {self.devices}",
            "package_id": f"{device} || '-0000000000000001-00000005'", "event_id": f"'e-' || {d.hex(f's.i % {events}', 16)}",
            "document": "'{\"outcome\":\"committed\"}'", "received_at": when(c["adapted"])})
        insert("adapted", c["adapted"], {
            "device_id": device, "adaptation_sha256": d.hex("s.i", 64), "event_id": f"'e-' || {d.hex(f's.i % {events}', 16)}",
            "bundle": self.bundle(f"s.i % {versions}"), "received_at": when(c["adapted"])})
        insert("transitions", c["adapted"], {
            "device_id": device, "sample_index": "s.i", "from_state": "'stable'", "to_state": "'drift'", "why": "'alarm'",
            "reported_at": when(c["adapted"])})
        insert("learned_versions", 200, {
            "device_id": device, "adaptation_sha256": d.hex("s.i", 64), "package_id": f"{device} || '-0000000000000001-00000005'",
            "base_bundle": self.bundle(f"s.i % {versions}"), "name": f"'model-' || CAST(s.i % {self.models} AS TEXT)",
            "document": "'{}'", "object_key": "'adaptations/none'", "bytes": "1000", "received_at": when(200)})
        insert("experiments", self.models, {
            "name": "'tinymlops/model-' || CAST(s.i AS TEXT)", "kind": "'family'", "subject": "'model-' || CAST(s.i AS TEXT)",
            "created_at": str(begin)})
        runs = c["runs"]
        run = d.hex("s.i", 32)
        insert("runs", runs, {
            "run_id": run, "run_key": f"'evaluation:' || {run}",
            "experiment": f"'tinymlops/model-' || CAST(s.i % {self.models} AS TEXT)", "kind": "'evaluation'",
            "name": "'evaluation'", "status": "'FINISHED'", "device_id": device, "bundle": self.bundle(f"s.i % {versions}"),
            "started_at": when(runs), "ended_at": f"{when(runs)} + 1000"})
        for name in ("accuracy", "drift_rate", "adaptation_success"):
            insert("run_metrics", runs, {"run_id": run, "name": f"'{name}'", "step": "0", "at": when(runs), "value": "0.9"})
        for name in ("device_id", "seed", "metric"):
            insert("run_params", runs, {"run_id": run, "name": f"'{name}'", "value": "'1'"})
        insert("outbox", runs, {
            "experiment": f"'tinymlops/model-' || CAST(s.i % {self.models} AS TEXT)", "run_id": run, "document": "'{}'",
            "state": f"CASE WHEN s.i >= {runs - 50} THEN 'waiting' ELSE 'sent' END", "created_at": when(runs)})
        insert("audit", 20_000, {
            "at": when(20_000), "who": "'ann'", "action": "'verdict.give'", "subject": event, "detail": "''"})
        return out

    def freshen(self) -> list[str]:
        """What makes the rows of an earlier day a fleet of now: devices that looked in, an hour's packages."""
        d, now, n = self.d, int(time.time() * 1000), max(self.packages // (DAYS * 24), 60)
        device = self.device(f"s.i % {self.devices}")
        return [
            f"UPDATE devices SET last_seen = {now} - 1000 WHERE state = 'active'",
            f"INSERT INTO packages (device_id, epoch, seq, package_id, type, bytes, sha256, object_key, received_at, state) "
            f"SELECT {device}, {d.hex(str(now), 16)}, s.i, {device} || '-' || {d.hex(str(now), 16)} || '-' || {d.pad('s.i', 8)}, "
            f"'metrics', 20000, {d.hex('s.i', 64)}, 'packages/none', {now} - s.i * 3600000 / {n}, 'processed' FROM {d.series(n)}",
            f"INSERT INTO metrics_points (device_id, at, document) SELECT {device}, {now} - s.i * 3600000 / {n}, "
            f"'{METRICS}' FROM {d.series(n)}",
        ]
