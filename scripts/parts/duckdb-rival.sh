#!/usr/bin/env bash
# Installs the newest DuckDB, which benchmarks are measured against, as venv.sh does; prints the path of its python. The
# Delta extension is for an older one: duckdb.sh.
exec "$(dirname "$0")/venv.sh" rival-duckdb-2.0.1 duckdb==2.0.1
