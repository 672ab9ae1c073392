#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: kafka_kill.sh [--kills N] [--seed S] [...]     (as kill.sh)
# check.sh --kafka runs: kafka_kill.sh --kills 20 --seed 31
# kill.sh with Kafka as the bus: agent, broker and servers are killed; lost and duplicated are counted on the target, and by a
# read_committed consumer that knows nothing of tailrace (consumer_lost, consumer_duplicated, holes, repeats).
exec "$(dirname "$0")/kill.sh" --kafka "$@"
