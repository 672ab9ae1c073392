#!/bin/bash
# shellcheck disable=SC1091
# SPDX-License-Identifier: Apache-2.0
# usage: debezium.sh
# What tailrace writes in strict mode, compared with the records that the real Debezium made of the same statements
# (tests/cases/debezium.tsv, by tests/peers/debezium.sh --keep): schemas, keys, values and headers, field by field. On PostgreSQL 15 as
# these were. Again with other forms of values (debezium-forms.tsv), and the types of PostGIS and pgvector where the server has these
# extensions (debezium-extensions.tsv). Prints compared=N differing=N for each.
. "$(dirname "$0")/../harness/lib.sh"
. "$(dirname "$0")/../harness/debezium.sh"
args_need psql python3
work_open
pg_start s debian
# run FORMS BEFORE PARTS: the statements on a new database, and our events of them in $W/ours.tsv.
run() {
    local n=0 part
    database s shop
    for part in $2; do debezium_part "$part" "$1" | qf s >/dev/null || die "the tables of $part cannot be made"; done
    debezium_agent s "$1"
    until_true 60 debezium_copied s || die "tailrace does not copy: $(tail -n 1 "$W/ours/log")"
    for part in $3; do
        debezium_part "$part" "$1" | qf s >/dev/null || die "the statements of $part fail"
        until_true 30 debezium_seen $((n += 1)) "$W/ours.tsv" || die "tailrace does not come to the end of $part"
    done
    debezium_stop
}
# compare KEPT OURS
compare() { (cd "$TR_SRC/tests/cases" && python3 ../peers/debezium.py compare "$1" "$2" kept); }
# same NAME KEPT OURS
same() {
    if compare "$2" "$3" >"$W/differences"; then ok "$1"; else bad "$1"; head -n 40 "$W/differences" | sed 's/^/    /'; fi
    tail -n 1 "$W/differences"
}
run "$DEBEZIUM_OTHER" before "$DEBEZIUM_PARTS"
# shellcheck disable=SC2086
debezium_only "$W/ours.tsv" $DEBEZIUM_OTHER_TABLES >"$W/other.tsv"
same "strict is Debezium in other forms" debezium-forms.tsv "$W/other.tsv"
debezium_extensions s
if [ -n "$DEBEZIUM_HAVE" ]; then
    debezium_forget s
    run "$DEBEZIUM_USUAL" "before${DEBEZIUM_HAVE// / before_}" "$DEBEZIUM_HAVE"
    # shellcheck disable=SC2046,SC2086
    for side in "$TR_SRC/tests/cases/debezium-extensions.tsv" "$W/ours.tsv"; do
        debezium_only "$side" $(debezium_tables $DEBEZIUM_HAVE) >"$W/extensions-${side##*/}"
    done
    same "strict is Debezium for the types of$DEBEZIUM_HAVE" "$W/extensions-debezium-extensions.tsv" "$W/extensions-ours.tsv"
fi
debezium_forget s
run "$DEBEZIUM_USUAL" before "$DEBEZIUM_PARTS"
same "strict is Debezium: schemas and records" debezium.tsv "$W/ours.tsv"
# The comparison finds what it is made for.
sed '/shop.public.made/s/6f74686572/6f64646572/' "$W/ours.tsv" >"$W/planted.tsv" # "other", "odder"
compare debezium.tsv "$W/planted.tsv" >"$W/planted"
if grep -q ' differing=[1-9]' "$W/planted"; then ok "a planted difference is found"; else bad "a planted difference is found"; fi
finish
