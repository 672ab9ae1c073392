# Unit tests: one program a folder of the tree, each folder's list in its own file.
EXTRA_DIST += tests/README.md
include tests/lint/local.mk
include tests/unit/base.mk
include tests/unit/store.mk
include tests/unit/net.mk
include tests/unit/source.mk
include tests/unit/bus.mk
include tests/unit/powercut.mk
include tests/unit/hub.mk
include tests/unit/lag.mk
include tests/unit/http.mk
include tests/unit/cli.mk
include tests/unit/decoders.mk
include tests/unit/schemas.mk
include tests/unit/registry.mk
include tests/unit/sinks.mk
include tests/bench/local.mk
include tests/integration/sink.mk
include tests/integration/source.mk
EXTRA_DIST += tests/harness/lib.sh tests/harness/packages.sh tests/peers/common.sh tests/peers/postgres.sh \
	tests/harness/debezium.sh tests/peers/connect.sh tests/peers/debezium.py tests/peers/debezium.sh tests/peers/kafka.sh tests/peers/registry.sh \
	tests/peers/registry_run.sh tests/harness/gate.py tests/harness/registry.py tests/harness/registry.sh \
	tests/cases/debezium.sql tests/cases/debezium.tsv tests/cases/debezium-forms.tsv tests/integration/debezium.sh tests/integration/rows.sh tests/threads.tsv \
	tests/integration/kill.sh tests/integration/faults.sh tests/integration/flow.sh \
	tests/integration/check.sh tests/integration/packaging.sh tests/integration/role.sh \
	tests/integration/registry.sh tests/integration/ddl.sh tests/integration/failover.sh tests/integration/large_tx.sh tests/integration/snapshot.sh tests/integration/snapshot_kill.sh tests/integration/tail.sh
include tests/unit/verify.mk
