#!/usr/bin/env bash
# Installs DuckDB with its Delta extension, and Polars with deltalake, as venv.sh does; prints the path of its python.
# DuckDB's version is that of the extension file in duckdb-ext-delta.
exec "$(dirname "$0")/venv.sh" readers-duckdb-1.4.4 duckdb==1.4.4 duckdb-ext-delta polars deltalake
