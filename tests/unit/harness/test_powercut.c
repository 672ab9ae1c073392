/* SPDX-License-Identifier: Apache-2.0
 * tests/harness/powercut: what was synced stays, what was not goes. The program runs itself as a
 * child under the library; the child kills itself, the parent takes back and looks. */
#include <check.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/bus/bench.h"

#define LIBRARY "tests/harness/powercut.so"
#define UNDO "tests/harness/powercut_undo"

/* ---- children: each ends by SIGKILL ---- */

static int open_file(const char *dir, int flags)
{
    char path[128];
    snprintf(path, sizeof path, "%s/file", dir);
    return open(path, O_RDWR | O_CREAT | flags, 0600);
}

static void child_file(const char *dir)
{
    int fd = open_file(dir, 0), durable = open_file(dir, O_DSYNC);
    struct iovec parts[2] = {{"EE", 2}, {"FF", 2}};
    bool good = pwrite(fd, "aaaabbbbccccdddd", 16, 0) == 16 && fsync(fd) == 0;
    /* From here on nothing is synced but what goes through the second descriptor. */
    good = good && pwrite(fd, "XXXX", 4, 0) == 4 && pwritev(fd, parts, 2, 4) == 4;
    good = good && pwrite(durable, "KKKK", 4, 8) == 4 && pwrite(fd, "YY", 2, 9) == 2;
    good = good && lseek(fd, 16, SEEK_SET) == 16 && write(fd, "tail", 4) == 4 && ftruncate(fd, 14) == 0;
    kill(getpid(), good ? SIGKILL : SIGABRT);
}

/* Commits to LMDB with or without its sync. */
static void child_lmdb(const char *dir, unsigned flags)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {3, "key"}, value = {5, "value"};
    bool good = mdb_env_create(&env) == 0 && mdb_env_open(env, dir, flags, 0600) == 0
        && mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0
        && mdb_put(txn, dbi, &key, &value, 0) == 0 && mdb_txn_commit(txn) == 0;
    kill(getpid(), good ? SIGKILL : SIGABRT);
}

static const char *const groups[] = {"durable"};

/* Flushes some transactions, tells how many, and goes on until the kill. */
static void child_bus(const char *dir)
{
    struct bench b = {.env = {.clock = &clock_system}, .groups = groups, .group_count = 1,
                      .o = {.max_bytes = 16 * MB, .memory_bytes = 256 * KB, .sync_ms = 2}};
    struct err e = ERR_INIT;
    snprintf(b.dir, sizeof b.dir, "%s", dir);
    b.env.log = log_open(-1, &clock_system);
    if (bench_try_open(&b, &e) != 0)
        abort();
    for (uint64_t lsn = 1;; lsn++) {
        struct mark mark = {.kind = MARK_STREAM, .pos.lsn = lsn, .end_lsn = lsn};
        struct event begin = {.kind = EVENT_BEGIN, .mark = mark};
        struct event row = {.kind = EVENT_ROW, .value = STR("some value"), .timestamp_us = (int64_t) lsn};
        while (bus_room(b.bus) == 0)
            usleep(100);
        if (bus_put(b.bus, &begin, &e) != 0 || bus_put(b.bus, &row, &e) != 0 || bus_commit(b.bus, &mark, &e) != 0)
            abort();
        struct bus_status s = bench_status(&b);
        if (write(3, &s.durable.lsn, sizeof s.durable.lsn) != sizeof s.durable.lsn)
            abort();
        usleep(50);
    }
}

static int child(const char *what, const char *dir)
{
    if (strcmp(what, "file") == 0)
        child_file(dir);
    if (strcmp(what, "synced") == 0)
        child_lmdb(dir, 0);
    if (strcmp(what, "unsynced") == 0)
        child_lmdb(dir, MDB_NOSYNC);
    if (strcmp(what, "bus") == 0)
        child_bus(dir);
    return 1;
}

/* ---- the parent ---- */

static char dir[64], log_name[80];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/test_powercut.XXXXXX");
    ck_assert(mkdtemp(dir) != NULL);
    snprintf(log_name, sizeof log_name, "%s.undo", dir);
}

static void drop_dir(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s' '%s'.*", dir, log_name);
    ck_assert_int_eq(system(command), 0);
}

/* Start this program again as a child of that kind; out is its descriptor 3. */
static pid_t start(const char *what, int out)
{
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out, 3);
        setenv("LD_PRELOAD", "./" LIBRARY, 1);
        setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
        setenv("POWERCUT_DIR", dir, 1);
        setenv("POWERCUT_LOG", log_name, 1);
        execl("/proc/self/exe", "test_powercut", "child", what, dir, (char *) NULL);
        _exit(127);
    }
    return pid;
}

static void expect_killed(pid_t pid)
{
    int status;
    ck_assert(waitpid(pid, &status, 0) == pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %d", status);
}

static void take_back(void)
{
    char command[256];
    snprintf(command, sizeof command, "./" UNDO " %s >/dev/null", log_name);
    ck_assert_int_eq(system(command), 0);
}

static void expect_file(const char *want)
{
    char got[64] = "";
    int fd = open_file(dir, 0);
    ck_assert(read(fd, got, sizeof got - 1) >= 0);
    close(fd);
    ck_assert_str_eq(got, want);
}

START_TEST(unsynced_writes_go)
{
    expect_killed(start("file", 2));
    expect_file("XXXXEEFFKYYKdd");
    take_back();
    expect_file("aaaabbbbKKKKdddd");
    take_back(); /* again there is nothing to take back */
    expect_file("aaaabbbbKKKKdddd");
}
END_TEST

static bool has_key(void)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {3, "key"}, value;
    bool found = false;
    if (mdb_env_create(&env) != 0)
        return false;
    if (mdb_env_open(env, dir, 0, 0600) == 0 && mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0) {
        found = mdb_dbi_open(txn, NULL, 0, &dbi) == 0 && mdb_get(txn, dbi, &key, &value) == 0;
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
    return found;
}

START_TEST(a_synced_commit_stays)
{
    expect_killed(start("synced", 2));
    take_back();
    ck_assert(has_key());
}
END_TEST

START_TEST(an_unsynced_commit_goes)
{
    expect_killed(start("unsynced", 2));
    ck_assert(has_key()); /* kill -9 alone does not show it */
    take_back();
    ck_assert(!has_key());
}
END_TEST

/* What the bus has said to be durable is there after a power cut. */
START_TEST(the_bus_keeps_its_word)
{
    struct bench b = {.env = {.clock = &clock_system}, .groups = groups, .group_count = 1,
                      .o = {.max_bytes = 16 * MB, .memory_bytes = 256 * KB}};
    struct err e = ERR_INIT;
    unsigned seed = bench_seed(31);
    uint64_t told = 0, word = 0;
    int ends[2];
    ck_assert(pipe(ends) == 0);
    pid_t pid = start("bus", ends[1]);
    close(ends[1]);
    for (int left = 400 + rand_r(&seed) % 600; left > 0; left--)
        ck_assert(read(ends[0], &word, sizeof word) == sizeof word);
    ck_assert(kill(pid, SIGKILL) == 0);
    told = word;
    while (read(ends[0], &word, sizeof word) == sizeof word)
        told = word;
    close(ends[0]);
    expect_killed(pid);
    take_back();
    snprintf(b.dir, sizeof b.dir, "%s", dir);
    b.env.log = log_open(-1, &clock_system);
    ck_assert_msg(bench_try_open(&b, &e) == 0, "%s", e.msg);
    ck_assert_uint_gt(told, 0);
    ck_assert_uint_ge(bench_status(&b).durable.lsn, told);
    bench_close(&b);
    log_close(b.env.log);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 4)
        return child(argv[2], argv[3]);
    if (access(LIBRARY, R_OK) != 0 || access(UNDO, X_OK) != 0) {
        fprintf(stderr, "test_powercut: run it in the build directory, by make check\n");
        return 1;
    }
    Suite *s = suite_create("powercut");
    TCase *t = tcase_create("powercut");
    tcase_add_checked_fixture(t, make_dir, drop_dir);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, unsynced_writes_go);
    tcase_add_test(t, a_synced_commit_stays);
    tcase_add_test(t, an_unsynced_commit_goes);
    tcase_add_test(t, the_bus_keeps_its_word);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
