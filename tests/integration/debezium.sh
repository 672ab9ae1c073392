#!/bin/bash
# shellcheck disable=SC1091
# SPDX-License-Identifier: Apache-2.0
# usage: debezium.sh
# What tailrace writes in strict mode, compared with the records that the real Debezium made of the same statements
# (tests/cases/debezium.tsv, by tests/peers/debezium.sh --keep): schemas, keys, values and headers, field by field. On PostgreSQL 15 as
# these were. Again with other forms of values (debezium-forms.tsv). Prints compared=N differing=N for each.
. "$(dirname "$0")/../harness/lib.sh"
. "$(dirname "$0")/../harness/debezium.sh"
args_need psql python3
work_open
pg_start s debian
# run FORMS: the statements on a new database, and our events of them in $W/ours.tsv.
run() {
    local n=0 part
    database s shop
    debezium_part before "$1" | qf s >/dev/null || die "the tables cannot be made"
    debezium_agent s "$1"
    until_true 60 debezium_copied s || die "tailrace does not copy: $(tail -n 1 "$W/ours/log")"
    for part in $DEBEZIUM_PARTS; do
        debezium_part "$part" "$1" | qf s >/dev/null || die "the statements of $part fail"
        until_true 30 debezium_seen $((n += 1)) "$W/ours.tsv" || die "tailrace does not come to the end of $part"
    done
    debezium_stop
}
# compare KEPT OURS
compare() { python3 "$TR_SRC/tests/peers/debezium.py" compare "$TR_SRC/tests/cases/$1" "$2" kept; }
# same NAME KEPT OURS
same() {
    if compare "$2" "$3" >"$W/differences"; then ok "$1"; else bad "$1"; head -n 40 "$W/differences" | sed 's/^/    /'; fi
    tail -n 1 "$W/differences"
}
run "$DEBEZIUM_OTHER"
debezium_only "$W/ours.tsv" >"$W/other.tsv"
same "strict is Debezium in other forms" debezium-forms.tsv "$W/other.tsv"
debezium_forget s
run "$DEBEZIUM_USUAL"
same "strict is Debezium: schemas and records" debezium.tsv "$W/ours.tsv"
# The comparison finds what it is made for.
sed '/shop.public.made/s/6f74686572/6f64646572/' "$W/ours.tsv" >"$W/planted.tsv" # "other", "odder"
compare debezium.tsv "$W/planted.tsv" >"$W/planted"
if grep -q ' differing=[1-9]' "$W/planted"; then ok "a planted difference is found"; else bad "a planted difference is found"; fi
finish
