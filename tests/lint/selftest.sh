#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: selftest.sh
# Shows that each lint can fail: plants one violation at a time in a copy of the tree and looks for it
# in what the lint says. Prints "ok selftest LINT: WHAT" or "not ok ...", exit code 1 when one was missed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/tailrace-lint.XXXXXX")
trap 'rm -rf "$work"' EXIT
copy=$work/tree
status=0

fresh() {
    rm -rf "$copy"
    mkdir "$copy"
    if [ -e "$root/.git" ]; then
        (cd "$root" && git ls-files -co --exclude-standard -z | xargs -0 tar cf - --ignore-failed-read) |
            tar xf - -C "$copy"
    else
        (cd "$root" && tar cf - --exclude='build*' .) | tar xf - -C "$copy"
    fi
}

# found LINT WHAT TEXT: the lint of the name now says TEXT, and did not before the planting.
found() {
    said=$(PYTHONDONTWRITEBYTECODE=1 TAILRACE=${program:-/nonexistent} python3 "$here/$1.py" "$copy" 2>&1)
    code=$?
    if [ $code -ne 0 ] && printf '%s\n' "$said" | grep -qF -- "$3" &&
        ! printf '%s\n' "$clean" | grep -qF -- "$3"; then
        echo "ok selftest $1: $2"
    else
        echo "not ok selftest $1: $2"
        printf '%s\n' "$said" | tail -n 5 | sed 's/^/    /'
        status=1
    fi
}

# What a lint says of the copy before anything is planted.
begin() { clean=$(PYTHONDONTWRITEBYTECODE=1 TAILRACE=${program:-/nonexistent} python3 "$here/$1.py" "$copy" 2>&1); }

c=agent/base/planted.c
plant() { printf '/* SPDX-License-Identifier: Apache-2.0 */\n%s\n' "$2" >"$copy/$1"; }
unplant() { rm -f "$copy/$1"; }

fresh
begin layers
plant $c '#include "schemas/change.h"'
found layers "base includes schemas" "$c:2: agent/base is below schemas"
unplant $c
plant decoders/planted.c '#include "sinks/sink.h"'
found layers "a decoder includes a sink" "decoders/planted.c:2: sinks and decoders"
unplant decoders/planted.c
mkdir -p "$copy/sinks/one" "$copy/sinks/two"
plant sinks/one/planted.c '#include "sinks/two/two.h"'
found layers "a sink includes another" "sinks/one/planted.c:2: one must not know two"
unplant sinks/one/planted.c
plant agent/lag/planted.c '#include "agent/bus/bus.h"'
plant agent/bus/planted.c '#include "agent/lag/lag.h"'
found layers "two folders in a circle" "include each other"
unplant agent/lag/planted.c
unplant agent/bus/planted.c
plant $c '#include "err.h"'
found layers "an include not from the root" 'is not included from the root'
unplant $c

begin length
plant $c "int planted(void)
{
$(i=0; while [ $i -lt 68 ]; do echo '    ;'; i=$((i + 1)); done)
}
int planted_long(void)
{
$(i=0; while [ $i -lt 69 ]; do echo '    ;'; i=$((i + 1)); done)
    return 0;
}"
found length "a function of 73 lines" "planted_long has 73 lines"
plant $c 'int planted(int a, int b, int c, int d, int (*e)(int, int), int f, struct err *g) { return a; }'
found length "six parameters" "planted has 6 parameters"
plant $c "$(i=0; while [ $i -lt 800 ]; do echo ';'; i=$((i + 1)); done)"
found length "a file of 801 lines" "file has 801 lines"
unplant $c

begin banned
for call in strcpy strcat sprintf strtok atoi alloca gets longjmp; do
    plant $c "void planted(char *a) { ($call (a)); }"
    found banned "$call" "$c:2: $call is banned"
done
plant $c 'void planted(int a)
{
    if (a)
        goto done;
    goto out;
done:
out:
    ;
}'
found banned "two labels" "planted has 2 labels"
plant $c 'void planted(int a)
{
    goto out;
out:
    ;
}'
found banned "a label with another name" "planted has the label out"
plant $c 'static int planted_state = 1;'
found banned "a variable of a file" "state of a file that is not const: static int planted_state"
unplant $c

begin headers
plant agent/base/planted.h '/* what it does */
int planted(struct nowhere n, size_t len);'
found headers "a header that lacks an include" "agent/base/planted.h:1: does not compile alone"
plant agent/base/planted.h 'extern int planted_once;

int planted(int a,
            int b);'
found headers "a function without a contract" "planted has no contract"
plant agent/base/planted.h 'struct planted { int a; };'
found headers "a header without a guard" "agent/base/planted.h:1: does not compile alone"
unplant agent/base/planted.h
echo 'int planted_x;' >"$copy/$c"
found headers "a file without its licence" "$c:1: does not begin with its licence"
unplant $c

# A program that prints the pages of the copy, so that only what is planted differs.
program=$work/program
printf '#!/bin/sh\ncat "%s/docs/$2.md"\n' "$work/said" >"$program"
chmod +x "$program"
mkdir -p "$copy/docs" "$work/said/docs"
for page in options metrics errors cli; do
    [ -e "$copy/docs/$page.md" ] || : >"$copy/docs/$page.md"
    cp "$copy/docs/$page.md" "$work/said/docs/"
done
begin docs
echo 'OPTION(top, planted_option, TEXT, name, "", 0, 0, "", 0, "x")' >>"$copy/agent/options.def"
found docs "an option without docs" "planted_option is not in docs/options.md"
echo 'METRIC(M_PLANTED, METRIC_GAUGE, "tailrace_planted", "", "x")' >>"$copy/agent/metrics.def"
found docs "a metric without docs" "tailrace_planted is not in docs/metrics.md"
found docs "a metric that is never written" "M_PLANTED is never written"
echo 'ERROR(E_PLANTED, ERR_FATAL, 70, "x", "y")' >>"$copy/agent/errors.def"
found docs "an error without docs" "planted is not in docs/errors.md"
found docs "an error that is never set" "E_PLANTED is never set"
echo 'FLAG("run", "planted-flag", "", "", "x")' >>"$copy/agent/commands.def"
found docs "a flag without docs" "--planted-flag is not in docs/cli.md"
echo 'COMMAND("planted-command", cmd_planted, "", "x", "y")' >>"$copy/agent/commands.def"
found docs "a command without docs" "planted-command is not in docs/cli.md"
echo more >>"$copy/docs/options.md"
found docs "a page that the program does not print" "docs/options.md:1: is not what tailrace docs options prints"
echo 'see [this](nowhere.md)' >>"$copy/docs/check.md"
found docs "a dead link" "link to nowhere.md, which is not there"
echo 'see [this](cli.md#no-such-heading)' >>"$copy/docs/check.md"
found docs "a link to no heading" "link to cli.md#no-such-heading, which has no such heading"
echo '# Planted' >"$copy/docs/planted.md"
found docs "a page that nobody finds" "docs/planted.md:1: page is not linked from README.md"
echo '      - alert: TailracePlanted' >>"$copy/packaging/alerts.yml"
found docs "an alert without a cure" "TailracePlanted is not in docs/operations.md"
program=

fresh
begin words
say() { printf '%s\n' "$1" >"$copy/planted.md"; }
say "see ../sha""red/notes"
found words "a path outside" "planted.md:1: path outside of the tree"
say "in /wo""rk/here"
found words "a workplace" "planted.md:1: path of a workplace"
for host in deb.deb""ian.org py""pi.org npm""js.com crates.""io proxy.gol""ang.org repo.mav""en.apache.org; do
    say "https://$host/x"
    found words "$host" "planted.md:1: host of a package registry"
done
say "as the previous sess""ion did"
found words "a stretch of work" "planted.md:1: stretch of work"
say "the sess""ion settings of PostgreSQL, session_replication_role, and the next sess""ion of the database"
if PYTHONDONTWRITEBYTECODE=1 python3 "$here/words.py" "$copy" | grep -q planted.md; then
    echo "not ok selftest words: session as a word of databases"
    status=1
else
    echo "ok selftest words: session as a word of databases"
fi
exit $status
