#!/bin/bash
# shellcheck disable=SC1091
# SPDX-License-Identifier: Apache-2.0
# usage: debezium.sh
# What tailrace writes in strict mode, compared with the records that the real Debezium made of the same statements
# (tests/cases/debezium.tsv, by tests/peers/debezium.sh --keep): schemas, keys, values and headers, field by field. On PostgreSQL 15 as
# these were. Prints compared=N differing=N.
. "$(dirname "$0")/../harness/lib.sh"
. "$(dirname "$0")/../harness/debezium.sh"
args_need psql python3
work_open
pg_start s debian
database s shop
debezium_part before | qf s >/dev/null || die "the tables cannot be made"
debezium_agent s
until_true 60 debezium_copied s || die "tailrace does not copy: $(tail -n 1 "$W/ours/log")"
N=0
for PART in $DEBEZIUM_PARTS; do
    debezium_part "$PART" | qf s >/dev/null || die "the statements of $PART fail"
    until_true 30 debezium_seen $((N += 1)) "$W/ours.tsv" || die "tailrace does not come to the end of $PART"
done
debezium_stop
compare() { python3 "$TR_SRC/tests/peers/debezium.py" compare "$TR_SRC/tests/cases/debezium.tsv" "$1" kept; }
if compare "$W/ours.tsv" >"$W/differences"; then ok "strict is Debezium: schemas and records"; else bad "strict is Debezium: schemas and records"; head -n 40 "$W/differences" | sed 's/^/    /'; fi
tail -n 1 "$W/differences"
# The comparison finds what it is made for.
sed '/shop.public.made/s/6f74686572/6f64646572/' "$W/ours.tsv" >"$W/planted.tsv" # "other", "odder"
compare "$W/planted.tsv" >"$W/planted"
if grep -q ' differing=[1-9]' "$W/planted"; then ok "a planted difference is found"; else bad "a planted difference is found"; fi
finish
