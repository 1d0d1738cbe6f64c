"""Writes benches/README.md from what the benchmarks left: Criterion's estimates, and JSON of the others.

Arguments: target folder, the command that was run, load of the machine before it. Called by scripts/bench.sh; figures
come into the file this way and no other.
"""

import json
import math
import os
import pathlib
import platform
import subprocess
import sys

target, command, load = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
figures = target / "tmp" / "figures"


def git(*arguments):
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def first_of(path, name):
    with open(path, encoding="utf-8") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "unknown")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def read(name):
    path = figures / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def criterion():
    """Group -> benchmark -> (seconds of one iteration, elements, bytes). The middle of Criterion's samples."""
    groups = {}
    for path in sorted((target / "criterion").glob("*/*/new/benchmark.json")):
        about = json.loads(path.read_text())
        estimates = json.loads((path.parent / "estimates.json").read_text())
        throughput = about["throughput"] or {}
        both = throughput.get("ElementsAndBytes", {})
        elements = throughput.get("Elements", both.get("elements"))
        seconds = estimates["median"]["point_estimate"] / 1e9
        groups.setdefault(about["group_id"], {})[about["function_id"]] = (seconds, elements, both.get("bytes"))
    return groups


def times(mine, other):
    return f"{mine / other:.2f}"


def decode(groups):
    ours, rows = "tollbook to Arrow", []
    for name in ("native", "nginx", "kong"):
        ways = groups.get(f"decode {name}", {})
        if ours not in ways:
            continue
        for way in (ours, "sonic-rs, borrowed struct", "sonic-rs, skip", "serde_json, borrowed struct"):
            seconds, elements, size = ways[way]
            rows.append([name, way, f"{size / seconds / 1e6:,.0f}", f"{elements / seconds:,.0f}",
                         f"{seconds / elements * 1e9:,.0f}", times(ways[ours][0], seconds)])
    if not rows:
        return "Not run.\n"
    sizes = ", ".join(f"{name} {groups[f'decode {name}'][ours][2] / groups[f'decode {name}'][ours][1]:.0f}"
                      for name in ("native", "nginx", "kong"))
    return (table(["lines", "way", "MB/s", "records/s", "ns a record", "tollbook takes … times this"], rows) +
            f"\nBytes a line: {sizes}. tollbook also checks every field, hashes credentials (HMAC-SHA256), cuts addresses and"
            "\nbuilds the columns; the parsers alone do not.\n")


def encode(groups):
    ways, about = groups.get("encode", {}), read("encode")
    if not ways or not about:
        return "Not run.\n"
    sizes, rows = about["bytes_per_row"], []
    ours = ways["as the lake (zstd 1)"][0]
    for way in ("as the lake (zstd 1)", "snappy", "no compression", "into a lake, with the commit"):
        seconds, elements, _ = ways[way]
        size = sizes.get(way)
        rows.append([way, f"{elements / seconds:,.0f}", "as the first" if size is None else f"{size:.1f}",
                     f"{seconds / ours:.2f}"])
    return (table(["way", "rows/s", "bytes a row", "time, the first is 1"], rows) +
            f"\n{about['rows']:,} rows of {about['days']} days, one core; their JSON has {about['json_bytes_per_row']:.0f} bytes a row."
            "\nThe commit waits for the disk (`fsync` of each file and of the log).\n")


def ingest():
    about = read("ingest")
    if not about:
        return "Not run.\n"
    if "left_out" in about:
        return f"Left out: {about['left_out']}.\n"
    ways = about["ways"]
    order = ["consume and discard", "consume, decode", "consume, decode, encode", "tollbook ingest, from Kafka",
             "tollbook ingest, from a file"]
    floor = ways["consume, decode, encode"]["cpu_seconds_per_million"]
    rows = [[name, f"{ways[name]['cpu_seconds_per_million']:.2f}",
             f"{ways[name]['cpu_seconds_per_million'] / floor:.2f}",
             f"{ways[name]['wall_seconds_per_million']:.2f}"] for name in order]
    rows.append(["kafka-delta-ingest, measured elsewhere on 2 cores, other records", "40 to 45", "", ""])
    rows.append(["Spark Structured Streaming, measured elsewhere on 2 cores, other records", "38 to 44", "", ""])
    return (table(["way", "CPU seconds per million records", "times the floor", "seconds per million records"], rows) +
            f"\n{about['accepted']:,} records accepted and {about['rejected']:,} rejected of {about['messages']:,} messages"
            f" ({about['bytes'] / 1e6:,.0f} MB, {about['partitions']} partitions) in"
            f"\nevery way but the file's; the middle of {about['rounds']} rounds. The floor is \"consume, decode, encode\": the same work without files,"
            "\nlog, transactions. CPU is user and system time of our process with librdkafka's threads, without the broker's.\n")


def usage():
    about = read("usage")
    if not about:
        return "Not run.\n"
    rows = []
    for name, query in about["queries"].items():
        theirs = query.get("duckdb_seconds")
        if "by_index_seconds" in query:
            ours = query["by_index_seconds"]
            rows.append(["the same by the id index, as `aggregate usage` does", f"{query['groups']:,}", f"{ours:.3f}",
                         "left out" if theirs is None else f"{theirs:.3f}",
                         "" if theirs is None else times(ours, theirs)])
        rows.append([name, f"{query['groups']:,}", f"{query['tollbook_seconds']:.3f}",
                     "left out" if theirs is None else f"{theirs:.3f}",
                     "" if theirs is None else times(query["tollbook_seconds"], theirs)])
    refresh = about["refresh"]
    text = table(["query", "groups", "tollbook, seconds", "DuckDB, seconds", "tollbook takes … times DuckDB"], rows)
    text += (f"\n{about['rows']:,} rows of `access_log` in {about['files']} Parquet files of the lake, {about['file_bytes'] / 1e6:,.0f} MB; the middle of"
             f"\n{about['rounds']} rounds after one that warms up; both with 2 threads, the answers compared row by row and equal."
             f"\nDuckDB {about['duckdb'] or '(left out)'} by its Python package.\n\n")
    text += (f"The whole refresh, as `aggregate usage` runs it (attribution by credential and consumer, product by route, all meters of"
             f"\nthe demo's catalog, the commit): **{refresh['wall_seconds']:.2f} s**, {refresh['cpu_seconds']:.2f} CPU seconds, for"
             f" {refresh['records']:,} deliveries ({refresh['duplicates']:,} of them duplicates)"
             f"\ninto {refresh['usage_rows']:,} usage rows: {refresh['records'] / refresh['wall_seconds']:,.0f} deliveries a second. DuckDB has no such query to compare.\n")
    return text


def refresh():
    about = read("refresh")
    if not about:
        return "Not run.\n"
    rows = []
    for at in about["lengths"]:
        seconds, probe, full = at["refresh_seconds"], at["probe_seconds"], at["full_seconds"]
        rows.append([f"{at['months']}", f"{at['rows']:,}", f"{at['files']:,}", f"{at['new_rows']:,} (1 % {at['share']})",
                     f"{at['hours']} ({at['records']:,})", f"{seconds:.3f}", f"{probe:.3f}", f"{full:.2f}",
                     f"{(seconds - probe) / full * 100:.1f} %", f"{seconds / full * 100:.1f} %"])
    same = [at for at in about["lengths"] if at["share"] == "of a month"]
    text = table(["months", "rows", "files", "new rows", "hours computed (rows in them)", "refresh, s", "its search of the id index, s",
                  "everything anew, s", "refresh without the search", "with it"], rows)
    text += (f"\nA month of the simulator's traffic again and again, a commit a day and four files a commit; new are the newest rows in time"
             f"\norder and, of the 24 hours before them, one in a thousand that comes late. The middle of {about['rounds']} refreshes, each of a copy of the"
             "\nlake by a process's first look at it; *everything anew* fills id index, `contested_request` and `usage` from the raw rows. The"
             "\nsearch, which looks for the new ids among all that were ever seen, is measured once more by itself behind each refresh.\n")
    if len(same) > 1:
        first, last = same[0], same[-1]
        rest = [at["refresh_seconds"] - at["probe_seconds"] for at in (first, last)]
        text += (f"\nWith the same new rows the refresh without its search takes {rest[1] / rest[0]:.2f} times as long on {last['months']} months as on"
                 f" {first['months']}; the search {last['probe_seconds'] / first['probe_seconds']:.1f} times.\n")
    return text


def growth():
    about = read("growth")
    if not about:
        return "Not run.\n"
    sizes = about["sizes"]
    rows = [[f"{at['rows']:,}", f"{at['files']:,}", f"{at['usage_rows']:,}", f"{at['wall_seconds']:.1f}", f"{at['cpu_seconds']:.1f}",
             f"{at['records'] / at['cpu_seconds']:,.0f}", f"{at['peak_bytes'] / 2**20:,.0f} MiB"] for at in sizes]
    text = table(["rows", "files", "usage rows", "seconds", "CPU seconds", "rows a CPU second", "highest memory"], rows)
    slope = lambda at, to, key: math.log(to[key] / at[key]) / math.log(to["rows"] / at["rows"])
    steps = ", ".join(f"{slope(at, to, 'cpu_seconds'):.2f} from {at['rows']:,} to {to['rows']:,}" for at, to in zip(sizes, sizes[1:]))
    whole = (sizes[0], sizes[-1])
    return (text + f"\nEverything anew (id index, `contested_request`, `usage`) of {about['months']} months, by a process of its own. Slope on log–log of the"
            f"\nCPU seconds: **{slope(*whole, 'cpu_seconds'):.2f}** ({steps}); of the seconds {slope(*whole, 'wall_seconds'):.2f}.\n")


def close():
    about = read("close")
    if not about:
        return "Not run.\n"
    rows = [[name, f"{about[key]['wall_seconds']:.1f}", f"{about[key]['cpu_seconds']:.1f}"] for name, key in (
        ("`bill draft`", "draft"), ("`bill issue`", "issue"), ("`bill draft` again, nothing to do", "draft_again"))]
    mebibytes = lambda key: f"{about[key] / 2**20:,.0f} MiB"
    return (table(["", "seconds", "CPU seconds"], rows) +
            f"\n{about['partners']:,} partners with ten lines each: **{about['lines']:,} lines** from {about['usage_rows']:,} rows of `usage`; documents, lines and"
            f"\nevidence in the lake, pages not rendered. Highest memory of the process that drafts and issues {mebibytes('peak_bytes')}.\n")


def verify():
    about = read("verify")
    if not about:
        return "Not run.\n"
    one = lambda told: f"{told['seconds']:.2f} ({told['rows_read']:,})"
    rows = [[at["month"], str(at["invoices"]), f"{at['median_seconds']:.2f}", one(at["smallest"]), one(at["largest"]),
             f"{at['all_seconds']:.1f}", f"{at['peak_bytes'] / 2**20:,.0f} MiB"] for at in about["each"]]
    return (table(["month", "invoices", "one of them, the middle, s", "with the fewest rows, s (rows)", "with the most, s (rows)",
                   "all together, s", "highest memory"], rows) +
            f"\n{about['rows']:,} rows of `access_log` in {about['months']} months, each of them aggregated, drafted and issued before. *Rows* are those that an"
            f"\ninvoice was re-derived from. Each as a command that starts: the lake is opened anew. It has {about['files']:,} files.\n")


def commit():
    about = read("commit")
    if not about:
        return "Not run.\n"
    window, never, often = about["window"], about["never"], about["checkpoints"]
    rows = [[f"commits {at * window} to {(at + 1) * window}, each", f"{bare:.1f}", f"{with_them:.1f}"]
            for at, (bare, with_them) in enumerate(zip(never["windows_ms"], often["windows_ms"]))]
    rows += [[name, f"{never[key]:.1f}", f"{often[key]:.1f}"] for name, key in (
        ("start of a process", "start_ms"), ("compaction", "compact_ms"), ("start after it", "start_after_ms"),
        (f"next {window} commits, each", "after_ms"))]
    return (table(["", "no checkpoints, ms", f"one every {about['entries']} commits, ms"], rows) +
            "\nA row and its offset a commit, one file each; every file and log entry waits for the disk (`fsync`). The time of"
            "\nthe checkpoints is in that of the commits.\n")


def rating(groups):
    ways = groups.get("rating", {})
    if not ways:
        return "Not run.\n"
    order = ["flat", "per unit", "graduated, 3 tiers", "graduated, 20 tiers", "graduated, 20 tiers, with its JSON"]
    flat = ways["flat"][0]
    rows = [[name, f"{ways[name][0] / ways[name][1] * 1e9:,.0f}", f"{ways[name][1] / ways[name][0]:,.0f}",
             f"{ways[name][0] / flat:.1f}"] for name in order if name in ways]
    return (table(["price", "ns a line", "lines/s on one core", "times flat"], rows) +
            "\nFrom a quantity to the amount, rounded once, and its working as text.\n")


groups = criterion()
gibibytes = int(first_of("/proc/meminfo", "MemTotal").split()[0]) / 1024 / 1024
uncommitted = git("status", "--porcelain", "--untracked-files=no")
revision = git("rev-parse", "--short=12", "HEAD") + (" with uncommitted changes" if uncommitted else "")
toolchain = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.strip()
date = subprocess.run(["date", "-u", "+%Y-%m-%d %H:%M UTC"], check=True, capture_output=True, text=True).stdout.strip()
machine = table(["", ""], [
    ["command", f"`{command}`"], ["date", date], ["commit", revision], ["CPU", first_of("/proc/cpuinfo", "model name")],
    ["cores", str(os.cpu_count())], ["memory", f"{gibibytes:.1f} GiB"], ["kernel", platform.release()],
    ["toolchain", toolchain], ["load before (1, 5, 15 minutes)", load],
])

print(f"""# benches

First figures, of one machine, to improve on. Written by `scripts/bench.sh`, which runs everything; never by hand.

| file | what it measures |
|---|---|
| `decode` | lines of three gateways to Arrow, against sonic-rs and serde_json alone |
| `encode` | Arrow to Parquet, as the lake writes it |
| `ingest` | Kafka to committed tables, in CPU seconds, against its floors |
| `commit` | what a commit costs as log and files grow, with checkpoints and without |
| `usage` | hourly usage on the lake's files, against DuckDB |
| `refresh` | usage after new rows, against everything anew, at several lengths of history |
| `growth` | everything anew, as history grows a hundredfold |
| `close` | drafting and issuing a month of many partners |
| `verify` | re-deriving one invoice, and all of a month, beside a long history |
| `rating` | a line of each price model |

`inputs` makes the data from the simulator, `history` months of it, `raw` has the rivals' structs, `encoding` the floor of encoding, `figures`
the clocks, `report.py` this page. They need the release profile, a second long compile; CI checks them and never builds
them. Sizes are set by `TOLLBOOK_BENCH_EVENTS`, `_USAGE_ROWS`, `_ROUNDS`, `_LINES`, `_ROWS`, `_COMMITS`,
`_REFRESH_ROWS` and `_VERIFY_ROWS` (a month), `_MONTHS_MAX`, `_VERIFY_MONTHS`, `_VERIFY_COMPACTED`, `_GROWTH_ROWS`, `_PARTNERS`.

{machine}
Other programs may have run on the machine: CPU seconds and ratios are worth more than seconds.

## Decode

{decode(groups)}
## Encode

{encode(groups)}
## Ingest

{ingest()}
## Commits

{commit()}
## Hourly usage

{usage()}
## Refresh

{refresh()}
## Growth

{growth()}
## Close of a month

{close()}
## Verify

{verify()}
## Rating

{rating(groups)}""", end="")
