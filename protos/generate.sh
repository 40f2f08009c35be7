#!/bin/sh
# Generates protos/gen from the contract, or into the folder given as the first argument.
# The generated code is committed; a test compares it with a fresh run.
set -eu
cd "$(dirname "$0")"
out=${1:-gen}
mkdir -p "$out"
python=${PYTHON:-../.venv/bin/python}
PATH="$(dirname "$(command -v "$python")"):$PATH"
"$python" -m grpc_tools.protoc -I. \
    --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" --mypy_grpc_out="$out" \
    linewarden/v1/*.proto
"$python" -m grpc_tools.protoc -I. --python_out="$out" --pyi_out="$out" buf/validate/validate.proto
rm -f "$out"/linewarden/v1/core_pb2_grpc.* "$out"/linewarden/v1/error_reason_pb2_grpc.*
for package in buf/validate linewarden/v1; do
    : >"$out/$package/__init__.py"
done
: >"$out/linewarden/v1/py.typed"
