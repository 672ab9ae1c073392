# Reference pages are printed by the program and kept in the tree, so that they can be read without
# building it; `make docs` writes them anew and `make lint` compares.
dist_doc_DATA += docs/architecture.md docs/check.md docs/cli.md docs/configuration.md docs/errors.md docs/events.md docs/kafka.md docs/metrics.md docs/monitoring.md \
	docs/operations.md docs/options.md docs/performance.md docs/postgres-target.md docs/registry.md docs/security.md docs/snapshots.md
docs: tailrace$(EXEEXT)
	for page in options metrics errors cli; do \
	    ./tailrace$(EXEEXT) docs $$page >$(srcdir)/docs/$$page.md.new \
	        && mv $(srcdir)/docs/$$page.md.new $(srcdir)/docs/$$page.md || exit 1; \
	done
.PHONY: docs

# Man pages and completions are printed at build and installed, not kept. The lint below knows when
# a command has no page here.
nodist_man1_MANS = docs/man/tailrace.1 docs/man/tailrace-run.1 docs/man/tailrace-tail.1 \
	docs/man/tailrace-init.1 docs/man/tailrace-check.1 docs/man/tailrace-status.1 \
	docs/man/tailrace-top.1 docs/man/tailrace-verify.1 docs/man/tailrace-parked.1 docs/man/tailrace-snapshot.1 \
	docs/man/tailrace-remove.1 docs/man/tailrace-config.1 docs/man/tailrace-docs.1 \
	docs/man/tailrace-version.1 docs/man/tailrace-help.1 docs/man/tailrace-ddl.1
nodist_man5_MANS = docs/man/tailrace.yaml.5
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
fishcompletiondir = $(datadir)/fish/vendor_completions.d
nodist_bashcompletion_DATA = docs/completion/tailrace
nodist_zshcompletion_DATA = docs/completion/_tailrace
nodist_fishcompletion_DATA = docs/completion/tailrace.fish
PRINTED_PAGES = $(nodist_man1_MANS) $(nodist_man5_MANS) $(nodist_bashcompletion_DATA) \
	$(nodist_zshcompletion_DATA) $(nodist_fishcompletion_DATA)
CLEANFILES += $(PRINTED_PAGES)

# One file a rule, named by itself: $(@F) without its section is what `docs man` takes.
$(nodist_man1_MANS) $(nodist_man5_MANS): tailrace$(EXEEXT)
	@$(MKDIR_P) docs/man
	$(AM_V_GEN)page=$(@F) && ./tailrace$(EXEEXT) docs man $${page%.?} >$@.new && mv $@.new $@
docs/completion/tailrace: tailrace$(EXEEXT)
	@$(MKDIR_P) docs/completion
	$(AM_V_GEN)./tailrace$(EXEEXT) docs completion bash >$@.new && mv $@.new $@
docs/completion/_tailrace: tailrace$(EXEEXT)
	@$(MKDIR_P) docs/completion
	$(AM_V_GEN)./tailrace$(EXEEXT) docs completion zsh >$@.new && mv $@.new $@
docs/completion/tailrace.fish: tailrace$(EXEEXT)
	@$(MKDIR_P) docs/completion
	$(AM_V_GEN)./tailrace$(EXEEXT) docs completion fish >$@.new && mv $@.new $@

# The pages as make install would lay them out: what mandoc says of them, and that none is missing.
check-local: $(PRINTED_PAGES)
	TAILRACE=$(abs_builddir)/tailrace$(EXEEXT) $(SHELL) $(top_srcdir)/tests/lint/man.sh $(abs_builddir)/docs/man
EXTRA_DIST += tests/lint/man.sh
