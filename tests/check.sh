#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# All tests, one stage after the other: check.sh BUILD [STAGE...]. A stage is a command that exits non-zero on failure
# and whose output has a line "N passed, N failed[, N skipped]" (one without such a line counts as one test).
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:?build directory}
shift

declare -A stages=(
	[layers]="scripts/check-layers --self-test && scripts/check-layers"
	[unit]="$build/unit"
	[controls]="tests/demo/control.sh $build && tests/real/run.sh $build control"
	[life]="tests/life.sh $build"
	[live-plain]="tests/live/run.sh -b $build plain broken ve"
	[live]="tests/live/run.sh -b $build leave file pipe migrate"
	[migrate]="tests/migrate.sh $build"
	[demo]="tests/demo/run.sh $build"
	[real]="tests/real/run.sh $build"
)
order=(layers unit life controls live-plain live migrate demo real)
[[ $# -eq 0 ]] || order=("$@")

# the sums of one stage's output: criterion has words of its own
count() {
	sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
	/^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3; skipped += $5; counted = 1 }
	/Synthesis: Tested:/ {
		for (i = 1; i <= NF; i++) {
			if ($i == "Passing:") passed += $(i + 1)
			if ($i == "Failing:" || $i == "Crashing:") failed += $(i + 1)
		}
		counted = 1
	}
	END { if (counted) print passed + 0, failed + 0, skipped + 0 }'
}

# the lines of a stage's output that name what failed, with what came before them
said() {
	sed 's/\x1b\[[0-9;]*m//g' "$1" | grep -aE -B 3 '^ *FAIL|[^0-9 ] *FAIL|\[FAIL\]|\[----\]|Unexpected|: failed|CRASH' |
		grep -avE '\[(PASS|RUN)\]' | tail -n 40
}

log=$(mktemp)
failures=$(mktemp)
trap 'rm -f "$log" "$failures"' EXIT
passed=0 failed=0 skipped=0
for stage in "${order[@]}"; do
	printf '\n== %s\n' "$stage"
	started=$SECONDS
	bash -c "${stages[$stage]}" 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	read -r p f s <<<"$(count "$log")"
	if [[ -z ${p:-} ]]; then
		p=$((status == 0)) f=0 s=0
	fi
	[[ $status -eq 0 || $f -gt 0 ]] || f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	if [[ $f -gt 0 ]]; then
		{ printf -- '-- %s\n' "$stage"; said "$log"; } >>"$failures"
	fi
	printf '== %s: %s, %d s\n' "$stage" "$([[ $f -eq 0 ]] && echo ok || echo FAILED)" $((SECONDS - started))
done
if [[ -s $failures ]]; then
	printf '\nWhat failed, once more:\n'
	cat "$failures"
fi
printf '\n%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[[ $failed -eq 0 && $passed -gt 0 ]]
