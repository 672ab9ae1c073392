# Reference pages are printed by the program and kept in the tree, so that they can be read without
# building it; `make docs` writes them anew and `make lint` compares.
dist_doc_DATA += docs/check.md docs/cli.md docs/configuration.md docs/errors.md docs/events.md docs/metrics.md docs/monitoring.md \
	docs/options.md docs/security.md
docs: tailrace$(EXEEXT)
	for page in options metrics errors cli; do \
	    ./tailrace$(EXEEXT) docs $$page >$(srcdir)/docs/$$page.md.new \
	        && mv $(srcdir)/docs/$$page.md.new $(srcdir)/docs/$$page.md || exit 1; \
	done
.PHONY: docs
