#!/usr/bin/env bash
# Runs every fuzz target of the module in turn: scripts/fuzz.sh SECONDS
# A target that finds something leaves its input under testdata/fuzz and stops
# the run; go test then repeats that input for ever.
set -euo pipefail

seconds=${1:?usage: scripts/fuzz.sh SECONDS}
grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file func; do
	target=${func#func }
	echo "$(dirname "$file") $target"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" "$(dirname "$file")"
done
