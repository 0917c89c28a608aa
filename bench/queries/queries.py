#!/usr/bin/env python3
"""Every query of the API over a large fleet, asked over HTTP of a real server on loopback: p95 a query.

  queries.py --bin build/release/bin [--database sqlite|postgres|both] [--calls N] [--only TEXT]

Prints a JSON object a query and database (name, value: p95 in ms). SQLite holds 1,000 devices and 500,000
packages, PostgreSQL 50,000 devices and 10,000,000 packages (bench/queries/fleet.py). The rows are made once
and kept in the cache folder, by the text of the migrations; an hour of them is added at each run, so that
"now" is now. The time is the caller's: from the first byte sent until the last was read.
Exit: 0 done; 1 a route answered something else than 200; 2 wrong use; 3 a database could not be made.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import fleet as fleets

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZES = {"sqlite": (1_000, 500_000), "postgres": (50_000, 10_000_000)}
TARGET_MS = 100.0

# Routes that are no query, and why.
NOT_MEASURED = {
    "/api/v1/events": "a stream that does not end",
    "/api/v1/devices/{device_id}/desired": "asked by devices with their own signature",
    "/api/v1/devices/{device_id}/feedback/{feedback_id}": "asked by devices with their own signature",
    "/artifacts/{sha256}": "an object's bytes, no rows",
    "/api/v1/devices/{device_id}/logs/{boot}/{seq}": "an object's bytes, no rows",
    "/api/v1/devices/{device_id}/images/{sample_id}": "an object's bytes, no rows",
    "/api/v1/samples/{sample_id}/image": "an object's bytes, no rows",
    "/api/v1/devices/{device_id}/logs/tail": "the bytes of the newest parts, which this fleet has not",
    "/api/v1/devices/{device_id}/sketches": "this fleet has no sketches",
    "/api/v1/devices/{device_id}/sketches/{day}/{bundle}": "this fleet has no sketches",
}

# Asked for what is not there, which is as long a search.
NOT_FOUND = {"/api/v1/devices/{device_id}/erasure": "no device of this fleet is being erased"}

# What a route's path may name; Queries.parameter gives values.
PARAMETERS = ("device_id", "event_id", "sample_id", "package_id", "rollout_id", "run_id", "id", "experiment", "name",
              "model", "bundle", "day")


def say(text: str) -> None:
    print(f"queries: {text}", file=sys.stderr, flush=True)


def cursor(number: int, text: str) -> str:
    return base64.urlsafe_b64encode(f"{number}~{text}".encode()).decode().rstrip("=")


class Failed(Exception):
    pass


class Store:
    """One database with a fleet in it, made if it is not there yet, and a server on it."""

    def __init__(self, name: str, bin_dir: pathlib.Path, cache: pathlib.Path, devices: int, packages: int):
        self.name, self.bin = name, bin_dir / "tinysphere"
        self.fleet = fleets.Fleet(fleets.Dialect(name), devices, packages)
        text = b"".join(p.read_bytes() for p in sorted((ROOT / "tinysphere/store/migrations").glob("*.h")))
        text += pathlib.Path(fleets.__file__).read_bytes()
        key = hashlib.sha256(text).hexdigest()[:16]
        self.folder = cache / f"{name}-{devices}-{packages}-{key}"
        self.data = self.folder / "data"
        self.server: subprocess.Popen | None = None

    def database(self) -> list[str]:
        raise NotImplementedError

    def run(self, *arguments: str) -> str:
        done = subprocess.run([str(self.bin), *arguments, "--data", str(self.data), *self.database()],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"tinysphere {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def make(self) -> None:
        raise NotImplementedError

    def freshen(self) -> None:
        raise NotImplementedError

    def start(self) -> str:
        self.server = subprocess.Popen(
            [str(self.bin), "serve", "--data", str(self.data), "--listen", "127.0.0.1:0", *self.database()],
            stdout=subprocess.PIPE, stderr=(self.folder / "server.log").open("w"), text=True)
        line = self.server.stdout.readline()
        if not line.startswith("ready http://"):
            raise Failed(f"the server did not start: {(self.folder / 'server.log').read_text()[-500:]}")
        return line.split()[1]

    def stop(self) -> None:
        if self.server:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(60)
            self.server = None


class Sqlite(Store):
    def database(self) -> list[str]:
        return []

    def make(self) -> None:
        done = self.folder / "made"
        if done.exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.data.mkdir(parents=True)
        self.run("user", "create", "--name", "ann", "--generate")  # Makes keys and schema.
        connection = sqlite3.connect(self.data / "tinysphere.db", isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        begun = time.monotonic()
        for table, sql in self.fleet.statements():
            count = connection.execute(sql).rowcount
            if count > 100_000:
                say(f"sqlite: {table}: {count} rows ({time.monotonic() - begun:.0f} s)")
        connection.execute("COMMIT")
        connection.close()
        done.write_text("made\n")

    def freshen(self) -> None:
        connection = sqlite3.connect(self.data / "tinysphere.db")
        for sql in self.fleet.freshen():
            connection.execute(sql)
        connection.commit()
        connection.close()


class Postgres(Store):
    """A cluster of its own, below the same folder, so that nobody else's load is in the figures."""

    def services(self, what: str) -> None:
        script = ROOT / "tools/services" / f"{what}.sh"
        arguments = [str(script), str(self.folder / "cluster")] + (["postgres"] if what == "up" else [])
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{script.name}: {done.stderr.strip()[-500:]}")

    def url(self) -> str:
        text = (self.folder / "cluster/env").read_text()
        match = re.search(r"TINYSPHERE_TEST_POSTGRES='?([^'\s]+)", text)
        if not match:
            raise Failed("the cluster's env names no TINYSPHERE_TEST_POSTGRES")
        return match.group(1)

    def database(self) -> list[str]:
        base = self.url()
        head, _, query = base.partition("?")
        return ["--database", head.rsplit("/", 1)[0] + "/queries" + ("?" + query if query else "")]

    def psql(self, url: str, sql: str) -> None:
        psql = shutil.which("psql") or "/usr/lib/postgresql/15/bin/psql"
        done = subprocess.run([psql, "-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", url], input=sql, capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr.strip()[-800:]}")

    def make(self) -> None:
        done = self.folder / "made"
        if not done.exists():
            if (self.folder / "cluster").exists():
                subprocess.run([str(ROOT / "tools/services/down.sh"), str(self.folder / "cluster")], check=False,
                               capture_output=True)
            shutil.rmtree(self.folder, ignore_errors=True)
        self.data.mkdir(parents=True, exist_ok=True)
        self.services("up")
        # The cluster listens on another port each time; the server would call that another database.
        (self.data / "installation.json").unlink(missing_ok=True)
        if done.exists():
            return
        self.psql(self.url(), "CREATE DATABASE queries")
        # A cluster of figures may be lost, and is then made again.
        self.psql(self.url(), "ALTER SYSTEM SET fsync = off;\nALTER SYSTEM SET max_wal_size = '8GB';\n"
                  "ALTER SYSTEM SET autovacuum = off;\nSELECT pg_reload_conf();")
        self.run("user", "create", "--name", "ann", "--generate")  # Makes keys and schema.
        url = self.database()[1]
        begun = time.monotonic()
        self.months(url)
        # Rows come in the order of time, as they would; keys and indexes are built once they are there.
        later = self.take_down(url)
        for table, sql in self.fleet.statements():
            self.psql(url, "SET synchronous_commit = off; SET work_mem = '256MB';\n" + sql + ";")
            say(f"postgres: {table} ({time.monotonic() - begun:.0f} s)")
        for sql in later:
            self.psql(url, "SET maintenance_work_mem = '1GB'; SET max_parallel_maintenance_workers = 0;\n" + sql + ";")
            say(f"postgres: {sql[:70]} ({time.monotonic() - begun:.0f} s)")
        for sequence in ("jobs.job_id", "timeline.entry_id", "verdicts.verdict_id", "audit.audit_id"):
            table, column = sequence.split(".")
            self.psql(url, f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), MAX({column})) FROM {table};")
        self.psql(url, "VACUUM (ANALYZE);")
        self.psql(url, "ALTER SYSTEM RESET autovacuum;\nSELECT pg_reload_conf();")
        say(f"postgres: looked over ({time.monotonic() - begun:.0f} s)")
        done.write_text("made\n")

    def take_down(self, url: str) -> list[str]:
        """Drops keys and indexes of every table that is filled; returns what makes them again."""
        tables = "(" + ", ".join(f"'{t}'" for t in sorted({t for t, _ in self.fleet.statements()})) + ")"
        keys = self.rows(url, "SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c "
                              f"ON c.oid = k.conrelid WHERE k.contype IN ('p', 'u') AND c.relname IN {tables} "
                              "AND k.conparentid = 0 ORDER BY 1, 2")
        indexes = self.rows(url, "SELECT c.relname, i.relname, pg_get_indexdef(i.oid) FROM pg_index x JOIN pg_class c "
                                 "ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid WHERE NOT i.relispartition "
                                 f"AND c.relname IN {tables} AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE "
                                 "k.conindid = i.oid) ORDER BY 1, 2")
        for table, name, _ in keys:
            self.psql(url, f"ALTER TABLE {table} DROP CONSTRAINT {name};")
        for _, name, _ in indexes:
            self.psql(url, f"DROP INDEX {name};")
        # Of a partitioned table Postgres writes "ON ONLY", which would leave the partitions out.
        return ([f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for table, name, definition in keys] +
                [definition.replace(" ON ONLY ", " ON ") for _, _, definition in indexes])

    def months(self, url: str) -> None:
        """The parts for 180 days back; a server makes only those that are coming."""
        for table in ("packages", "metrics_points"):
            if not self.rows(url, f"SELECT 1 FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid "
                                  f"WHERE c.relname = '{table}'"):
                continue
            known = {row[0] for row in self.rows(url, "SELECT i.inhrelid::regclass::text FROM pg_inherits i WHERE "
                                                      f"i.inhparent = '{table}'::regclass")}
            for name, begin, end in self.fleet.month_bounds(table):
                if name not in known:
                    self.psql(url, f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ({begin}) TO ({end});")

    def rows(self, url: str, sql: str) -> list[list[str]]:
        psql = shutil.which("psql") or "/usr/lib/postgresql/15/bin/psql"
        done = subprocess.run([psql, "-q", "-X", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"psql: {done.stderr.strip()[-800:]}")
        return [line.split("\x1f") for line in done.stdout.splitlines() if line]

    def freshen(self) -> None:
        url = self.database()[1]
        for sql in self.fleet.freshen():
            self.psql(url, sql + ";")

    def stop(self) -> None:
        super().stop()
        if (self.folder / "cluster/pids").exists():
            self.services("down")


class Queries:
    """The calls of each query: name and path of call n."""

    def __init__(self, fleet: fleets.Fleet, get):
        self.f, self.get = fleet, get
        self.middle = (fleet.begin + fleet.now) // 2
        self.events = fleet.counts()["drift_events"]

    def parameter(self, name: str, n: int) -> str | None:
        f = self.f
        device = (n * 7919) % f.devices
        per_device = f.packages // f.devices
        return {
            "device_id": f.device_id(device), "device": f.device_id(device),
            "event_id": f.event_id((n * 104729) % self.events),
            "sample_id": f.sample_id((n * 104729) % self.events, n % 8),
            "package_id": f.package_id(device, (n * 31) % per_device),
            "rollout_id": f"r-{199 - n % 200:016x}", "run_id": f"{(n * 31) % f.counts()['runs']:032x}",
            "id": f"{(n * 31) % f.counts()['runs']:032x}",
            "name": f"model-{n % f.models}",
            "bundle": f"{n % (f.models * f.versions):064x}", "day": "20261101",
            "experiment": f"model-{n % f.models}", "model": f"model-{n % f.models}",
        }.get(name)

    def variants(self, path: str) -> dict[str, object]:
        """Query name -> function of n to a query string, for one route."""
        f, device = self.f, lambda n: f.device_id((n * 7919) % f.devices)
        at = lambda n: self.middle + n * 60_000  # noqa: E731
        day = lambda ms: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))  # noqa: E731
        lists: dict[str, dict[str, object]] = {
            "/api/v1/devices": {
                "first": lambda n: "", "page_of_500": lambda n: "?limit=500",
                "later": lambda n: f"?cursor={cursor(0, f'camera {(n * 97) % f.devices:06d}' + chr(10) + 'd-')}"},
            "/api/v1/packages": {
                "first": lambda n: "", "later": lambda n: f"?cursor={cursor(at(n), 'z')}",
                "failed": lambda n: "?state=failed", "of_device": lambda n: f"?device={device(n)}",
                "failed_of_device": lambda n: f"?device={device(n)}&state=failed"},
            "/api/v1/drift-events": {
                "first": lambda n: "", "open": lambda n: "?state=open", "answered": lambda n: "?state=answered",
                "later": lambda n: f"?state=all&cursor={cursor(at(n), 'z')}",
                "of_device": lambda n: f"?state=all&device={device(n)}"},
            "/api/v1/devices/{device_id}/metrics": {
                "": lambda n: "", "of_180_days": lambda n: f"?from={day(f.begin)}&to={day(f.now)}&step=6h"},
            "/api/v1/devices/{device_id}/images": {
                "": lambda n: "", "of_label": lambda n: f"?label={n % 10}"},
            "/api/v1/packages/summary": {
                "": lambda n: "", "later": lambda n: f"?cursor={cursor(0, device(n))}"},
            "/api/v1/rollouts": {"first": lambda n: "", "later": lambda n: f"?cursor={cursor(at(n), 'z')}"},
            "/api/v1/learned-versions": {"first": lambda n: "", "of_model": lambda n: f"?model=model-{n % f.models}"},
            "/api/v1/runs": {"first": lambda n: "", "later": lambda n: f"?cursor={cursor(at(n), 'z')}",
                             "of_device": lambda n: f"?device={device(n)}"},
        }
        return lists.get(path, {"": lambda n: ""})

    def of(self, path: str):
        """(name, function of n to the path) of one route."""
        words = [w for w in path.split("/") if w and w not in ("api", "v1")]
        base = "_".join(w.replace("-", "_") if not w.startswith("{") else "one" for w in words) or "root"
        parts = re.findall(r"\{(\w+?)(?:\.\.\.)?\}", path)

        def filled(n: int) -> str:
            text = path
            for part in parts:
                value = self.parameter(part, n)
                if value is None:
                    raise Failed(f"{path}: no value is known for {{{part}}}")
                text = re.sub(r"\{" + part + r"(\.\.\.)?\}", value, text)
            return text

        for variant, query in self.variants(path).items():
            yield (f"{base}_{variant}" if variant else base), lambda n, query=query: filled(n) + query(n)


def measure(store: Store, calls: int, only: str, is_fresh: bool) -> bool:
    store.make()
    if not is_fresh:
        store.freshen()
    token = store.run("token", "create", "--kind", "api", "--role", "admin", "--name", f"queries-{time.time_ns()}")
    routes = [line.split()[1] for line in store.run("routes").splitlines() if line.startswith("GET ")]
    url = store.start()
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=120)

    def get(path: str) -> tuple[int, bytes]:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    ok = True
    queries = Queries(store.fleet, get)
    slow = []
    for route in routes:
        if route in NOT_MEASURED or route.startswith("/api/") and not route.startswith("/api/v1/"):
            continue
        if "{" in re.sub(r"\{(" + "|".join(PARAMETERS) + r")(\.\.\.)?\}", "", route):
            say(f"{store.name}: {route}: holds a parameter that nothing is known of; not measured")
            ok = False
            continue
        for name, path_of in queries.of(route):
            if only not in name:
                continue
            times, sizes = [], []
            for n in range(calls):
                begun = time.perf_counter()
                status, body = get(path_of(n))
                times.append((time.perf_counter() - begun) * 1000)
                sizes.append(len(body))
                if status != (404 if route in NOT_FOUND else 200):
                    say(f"{store.name}: {path_of(n)}: {status}: {body[:200]!r}")
                    ok = False
                    break
                # One that takes seconds is known to be slow without a hundred of them.
                if len(times) >= 10 and sum(times) > 30_000:
                    break
            times.sort()
            p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
            if p95 > TARGET_MS:
                slow.append(f"{name} {p95:.0f}")
            print(json.dumps({
                "name": f"queries.{name}", "value": round(p95, 2), "unit": "ms", "better": "lower", "baseline": None,
                "ratio": None, "database": store.name, "target": TARGET_MS, "met": p95 <= TARGET_MS,
                "p50": round(times[len(times) // 2], 2), "max": round(times[-1], 2), "calls": len(times),
                "bytes": max(sizes),
                "conditions": f"{store.name}, {store.fleet.devices} devices, {store.fleet.packages} packages, p95 of "
                              f"{len(times)} calls over HTTP on loopback, one at a time"}), flush=True)
    if slow:
        say(f"{store.name}: over {TARGET_MS:.0f} ms: {', '.join(slow)}")
    return ok


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--only", default="", help="only queries whose name holds this text")
    default_cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "tinymlops/queries"
    parser.add_argument("--cache", type=pathlib.Path, default=default_cache)
    parser.add_argument("--devices", type=int)
    parser.add_argument("--packages", type=int)
    parser.add_argument("--make-only", action="store_true", help="make the rows, ask nothing")
    parser.add_argument("--fresh", action="store_true", help="an hour's rows were added a moment ago")
    options = parser.parse_args()
    ok = True
    for name, kind in (("sqlite", Sqlite), ("postgres", Postgres)):
        if options.database not in (name, "both"):
            continue
        devices, packages = SIZES[name]
        store = kind(name, options.bin.resolve(), options.cache, options.devices or devices, options.packages or packages)
        try:
            if options.make_only:
                store.make()
            else:
                ok = measure(store, options.calls, options.only, options.fresh) and ok
        except (Failed, OSError, sqlite3.Error) as error:
            say(f"{name}: {error}")
            return 3
        finally:
            store.stop()
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
