# Lints over the tree: `make lint`; each can be seen to fail by `make lint-selftest`.
EXTRA_DIST += tests/lint/README.md tests/lint/banned.py tests/lint/csource.py tests/lint/docs.py tests/lint/headers.py \
	tests/lint/layers.py tests/lint/length.allow tests/lint/length.py tests/lint/run.sh \
	tests/lint/selftest.sh tests/lint/threads.py tests/lint/words.py
lint: tailrace
	TAILRACE=$(abs_builddir)/tailrace $(SHELL) $(top_srcdir)/tests/lint/run.sh
lint-selftest:
	$(SHELL) $(top_srcdir)/tests/lint/selftest.sh
.PHONY: lint lint-selftest
