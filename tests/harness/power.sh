# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# Sourced after lib.sh: a power cut for an agent. power_build makes the two programs under $W and sets POWERCUT to the
# library to preload; power_undo, after a kill, takes back what agent had written since its last sync and prints how much.
power_build() {
    local cc=${CC:-cc} here=$TR_SRC/tests/harness
    POWERCUT=$W/powercut.so
    "$cc" -std=gnu11 -O2 -fPIC -shared -I"$TR_SRC" -o "$POWERCUT" "$here/powercut.c" -ldl -lpthread &&
        "$cc" -std=gnu11 -O2 -D_GNU_SOURCE -I"$TR_SRC" -o "$W/powercut_undo" "$here/powercut_undo.c"
}
power_undo() { "$W/powercut_undo" "$W/agent/undo"; }
