# The unit is installed where configure was told (--with-systemdsystemunitdir=DIR), else only made.
packaging/tailrace.service: packaging/tailrace.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) packaging && sed -e 's,@bindir@,$(bindir),g' \
	    -e 's,@sysconfdir@,$(sysconfdir),g' $(srcdir)/packaging/tailrace.service.in >$@.new && mv $@.new $@
CLEANFILES += packaging/tailrace.service
EXTRA_DIST += packaging/tailrace.service.in packaging/alerts_test.yml
dist_pkgdata_DATA = packaging/alerts.yml packaging/source-role.sql packaging/target-role.sql
if HAVE_UNIT_DIR
systemdsystemunit_DATA = packaging/tailrace.service
install-data-local:
	$(MKDIR_P) $(DESTDIR)$(sysconfdir)/tailrace
	test -d $(DESTDIR)$(sysconfdir)/tailrace/secrets || mkdir -m 700 $(DESTDIR)$(sysconfdir)/tailrace/secrets
else
noinst_DATA = packaging/tailrace.service
endif
