/* SPDX-License-Identifier: Apache-2.0
 * agent/base: the store and its checksum. Damage is made bit by bit: what opens must give what was
 * put, or say E_CORRUPT. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "agent/base/store.h"

#define MAP ((uint64_t) 16 << 20)

static char dir[64];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/test_store.XXXXXX");
    ck_assert(mkdtemp(dir) != NULL);
}

static void drop_dir(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

static void path_of(char out[128], const char *name)
{
    snprintf(out, 128, "%s/%s", dir, name);
}

static struct store *open_store(void)
{
    struct err e = ERR_INIT;
    struct store *s = NULL;
    ck_assert_msg(store_open(dir, MAP, false, &s, &e) == 0, "%s", e.msg);
    return s;
}

static void expect_refused(const char *where, enum err_code code, const char *word)
{
    struct err e = ERR_INIT;
    struct store *s = NULL;
    ck_assert(store_open(where, MAP, false, &s, &e) == -1);
    ck_assert_msg(e.code == code, "%s: %s", err_name(e.code), e.msg);
    ck_assert_msg(strstr(e.msg, word) != NULL, "%s", e.msg);
}

static void put(struct store *s, enum store_table t, const char *key, struct str value)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_put_one(s, t, str_of(key), value, &e) == 0, "%s", e.msg);
}

static void expect(struct store *s, enum store_table t, const char *key, const char *value)
{
    struct err e = ERR_INIT;
    struct buf out = BUF_INIT;
    bool found;
    ck_assert_msg(store_get(s, t, str_of(key), &out, &found, &e) == 0, "%s", e.msg);
    ck_assert_int_eq(found, value != NULL);
    if (value)
        ck_assert(str_is(buf_str(&out), value));
    buf_free(&out);
}

START_TEST(checksum_by_its_known_values)
{
    /* RFC 3720 appendix B.4 and the usual check value. */
    uint8_t zeros[32] = {0}, up[32];
    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(crc32c(0, zeros, 32), 0x8a9136aa);
    for (int at = 0; at < 32; at++)
        up[at] = (uint8_t) at;
    ck_assert_uint_eq(crc32c(0, up, 32), 0x46dd794e);
    ck_assert_uint_eq(crc32c(crc32c(0, up, 13), up + 13, 19), 0x46dd794e);
    for (size_t len = 0; len <= 32; len++)
        ck_assert_uint_eq(crc32c(0, up, len), crc32c_portable(0, up, len));
}
END_TEST

START_TEST(keeps_what_was_put)
{
    struct store *s = open_store();
    struct err e = ERR_INIT;
    struct store_txn *t;
    struct str big = {mem_zalloc(1, 300000), 300000};
    struct buf key = BUF_INIT, value = BUF_INIT;
    bool found;
    put(s, STORE_META, "a", STR("one"));
    put(s, STORE_PARKED, "a", STR(""));
    put(s, STORE_BLOCKS, "big", big);
    ck_assert(store_begin(s, &t, &e) == 0 && store_put(t, STORE_META, STR("b"), STR("two"), &e) == 0);
    ck_assert(store_txn_get(t, STORE_META, STR("b"), &value, &found, &e) == 0 && found);
    store_abort(t);
    ck_assert(store_begin(s, &t, &e) == 0 && store_put(t, STORE_META, STR("c"), STR("three"), &e) == 0);
    ck_assert(store_delete(t, STORE_META, STR("not there"), &e) == 0 && store_commit(t, &e) == 0);
    store_close(s);
    s = open_store();
    expect(s, STORE_META, "a", "one");
    expect(s, STORE_META, "b", NULL);
    expect(s, STORE_META, "c", "three");
    expect(s, STORE_PARKED, "a", "");
    expect(s, STORE_COPIES, "a", NULL);
    ck_assert(store_get(s, STORE_BLOCKS, STR("big"), &value, &found, &e) == 0 && found);
    ck_assert(str_eq(buf_str(&value), big));
    ck_assert(store_seek(s, STORE_META, STR("b"), false, &key, &value, &found, &e) == 0 && found);
    ck_assert(str_is(buf_str(&key), "c") && str_is(buf_str(&value), "three"));
    ck_assert(store_seek(s, STORE_META, STR("b"), true, &key, NULL, &found, &e) == 0 && found);
    ck_assert(str_is(buf_str(&key), "a"));
    ck_assert(store_seek(s, STORE_META, STR("A"), true, &key, &value, &found, &e) == 0 && !found);
    ck_assert(store_seek(s, STORE_META, STR("z"), false, &key, &value, &found, &e) == 0 && !found);
    ck_assert(store_seek(s, STORE_META, STR_NONE, false, &key, &value, &found, &e) == 0 && found);
    ck_assert_uint_ge(store_used_bytes(s), 300000);
    store_close(s);
    buf_free(&key);
    buf_free(&value);
    free((void *) (uintptr_t) big.p);
}
END_TEST

START_TEST(one_process_and_its_name)
{
    struct store *s = open_store();
    char pid[32], path[128];
    snprintf(pid, sizeof pid, "process %ld", (long) getpid());
    expect_refused(dir, E_STATE_LOCKED, pid);
    /* Reading beside it is allowed. */
    struct store *beside;
    struct err e = ERR_INIT;
    put(s, STORE_META, "a", STR("one"));
    /* In another process, as a command would: LMDB takes a file once a process. */
    pid_t child = fork();
    if (child == 0) {
        if (store_open(dir, MAP, true, &beside, &e) != 0)
            _exit(1);
        expect(beside, STORE_META, "a", "one");
        ck_assert(store_begin(beside, &(struct store_txn *){0}, &e) == -1);
        store_close(beside);
        _exit(0);
    }
    int status;
    ck_assert(waitpid(child, &status, 0) == child && status == 0);
    store_close(s);
    path_of(path, "lock");
    ck_assert_int_eq(access(path, F_OK), 0);
    store_close(open_store());
}
END_TEST

START_TEST(directory_must_be_ours)
{
    char path[128];
    struct stat st;
    path_of(path, "made");
    struct err e = ERR_INIT;
    struct store *s;
    ck_assert(store_open(path, MAP, false, &s, &e) == 0);
    store_close(s);
    ck_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700);
    ck_assert(chmod(path, 0777) == 0);
    expect_refused(path, E_STATE_DIR, "everybody");
    path_of(path, "no/such/parent");
    expect_refused(path, E_STATE_DIR, "No such file");
    path_of(path, "file");
    ck_assert(close(open(path, O_CREAT | O_WRONLY, 0600)) == 0);
    expect_refused(path, E_STATE_DIR, "not a directory");
    ck_assert(store_open("/proc/self/nothing", MAP, true, &s, &e) == -1 && e.code == E_STATE_DIR);
}
END_TEST

START_TEST(another_version_is_refused_by_name)
{
    char path[128];
    store_close(open_store());
    path_of(path, "format");
    FILE *f = fopen(path, "w");
    ck_assert(f != NULL && fputs("tailrace state 99\n", f) >= 0 && fclose(f) == 0);
    expect_refused(dir, E_STATE, "says \"tailrace state 99\", not \"tailrace state 1\"");
}
END_TEST

START_TEST(other_users_directory_is_refused)
{
    if (geteuid() != 0) {
        fprintf(stderr, "SKIPPED other_users_directory_is_refused: needs root to become others\n");
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        struct err e = ERR_INIT;
        struct store *s;
        if (setuid(65534) != 0)
            _exit(2);
        _exit(store_open(dir, MAP, false, &s, &e) == -1 && e.code == E_STATE_DIR
                      && strstr(e.msg, "belongs to user")
                  ? 0
                  : 1);
    }
    int status;
    ck_assert(waitpid(child, &status, 0) == child && status == 0);
}
END_TEST

START_TEST(a_full_map_is_told_and_survived)
{
    struct store *s = open_store();
    struct err e = ERR_INIT;
    struct str value = {mem_zalloc(1, 1 << 20), 1 << 20};
    char key[16];
    int at = 0, rc = 0;
    for (; at < 32 && rc == 0; at++) {
        snprintf(key, sizeof key, "k%02d", at);
        rc = store_put_one(s, STORE_BLOCKS, str_of(key), value, &e);
    }
    ck_assert(rc == -1 && e.code == E_BUS_FULL && at > 10 && at < 18);
    struct store_txn *t;
    ck_assert(store_begin(s, &t, &e) == 0 && store_delete(t, STORE_BLOCKS, STR("k00"), &e) == 0);
    ck_assert(store_delete(t, STORE_BLOCKS, STR("k01"), &e) == 0 && store_commit(t, &e) == 0);
    put(s, STORE_META, "small", STR("x"));
    put(s, STORE_BLOCKS, "again", value);
    store_close(s);
    store_close(open_store());
    free((void *) (uintptr_t) value.p);
}
END_TEST

static void fill_disk(struct store *s, struct str value)
{
    struct err e = ERR_INIT;
    char key[16];
    int rc = 0;
    for (int at = 0; at < 64 && rc == 0; at++) {
        snprintf(key, sizeof key, "k%02d", at);
        rc = store_put_one(s, STORE_BLOCKS, str_of(key), value, &e);
    }
    ck_assert(rc == -1);
    ck_assert_msg(e.code == E_DISK_FULL, "%s: %s", err_name(e.code), e.msg);
}

START_TEST(a_full_disk_is_told_and_survived)
{
    char ballast[128], command[256];
    if (geteuid() != 0 || mount("none", dir, "tmpfs", 0, "size=6m,mode=0700") != 0) {
        fprintf(stderr, "SKIPPED a_full_disk_is_told_and_survived: needs root to mount a tmpfs\n");
        return;
    }
    path_of(ballast, "ballast");
    snprintf(command, sizeof command, "dd if=/dev/zero of=%s bs=1M count=3 2>/dev/null", ballast);
    ck_assert_int_eq(system(command), 0);
    struct store *s = open_store();
    struct str value = {mem_zalloc(1, 300000), 300000};
    put(s, STORE_META, "before", STR("x"));
    fill_disk(s, value);
    ck_assert_int_eq(unlink(ballast), 0);
    put(s, STORE_BLOCKS, "after", value);
    store_close(s);
    s = open_store();
    expect(s, STORE_META, "before", "x");
    store_close(s);
    free((void *) (uintptr_t) value.p);
    ck_assert_int_eq(umount(dir), 0);
}
END_TEST

/* ---- damage ---- */

static unsigned seed_of(unsigned fallback)
{
    const char *text = getenv("TR_SEED");
    return text ? (unsigned) strtoul(text, NULL, 10) : fallback;
}

#define ENTRIES 400

static void key_of(int number, char out[16])
{
    snprintf(out, 16, "key%05d", number);
}

/* Some kilobytes in three tables, with deletions, so that all kinds of pages are there. */
static void fill(struct store *s)
{
    struct err e = ERR_INIT;
    char key[16], value[9000];
    for (int round = 0; round < 4; round++) {
        struct store_txn *t;
        ck_assert(store_begin(s, &t, &e) == 0);
        for (int at = round; at < ENTRIES; at += 4) {
            key_of(at, key);
            size_t len = at % 20 == 0 ? sizeof value : 50;
            memset(value, 'a' + at % 26, len);
            enum store_table table = at % 3 == 0 ? STORE_BLOCKS : at % 3 == 1 ? STORE_META : STORE_PARKED;
            ck_assert(store_put(t, table, str_of(key), (struct str){value, len}, &e) == 0);
            key_of(at - 40, key);
            if (at % 7 == 0 && at >= 40)
                ck_assert(store_delete(t, table, str_of(key), &e) == 0);
        }
        ck_assert(store_commit(t, &e) == 0);
    }
}

/* Everything that s holds as one text; false with E_CORRUPT. */
static bool dump(struct store *s, struct buf *out, struct err *e)
{
    struct buf key = BUF_INIT, value = BUF_INIT, from = BUF_INIT;
    bool good = true;
    buf_reset(out);
    for (int t = 0; t < STORE_TABLES && good; t++) {
        bool found = true;
        buf_reset(&from);
        while (good && found) {
            good = store_seek(s, (enum store_table) t, buf_str(&from), false, &key, &value, &found, e) == 0;
            if (!good || !found)
                break;
            buf_addf(out, "%d %s ", t, key.p);
            buf_add_str(out, buf_str(&value));
            buf_reset(&from);
            buf_add_str(&from, buf_str(&key));
            buf_add_char(&from, 0);
        }
    }
    buf_free(&key);
    buf_free(&value);
    buf_free(&from);
    return good;
}

static void load(struct buf *file)
{
    char path[128];
    struct stat st;
    path_of(path, "data.mdb");
    int fd = open(path, O_RDONLY);
    ck_assert(fd >= 0 && fstat(fd, &st) == 0);
    buf_reset(file);
    ck_assert(read(fd, buf_grow(file, (size_t) st.st_size), (size_t) st.st_size) == st.st_size);
    file->len = (size_t) st.st_size;
    close(fd);
}

static void save(const struct buf *file, size_t len)
{
    char path[128];
    path_of(path, "data.mdb");
    int fd = open(path, O_RDWR | O_TRUNC);
    ck_assert(fd >= 0 && write(fd, file->p, len) == (ssize_t) len);
    close(fd);
}

/* Open what is there: the same contents (or a damaged value named), or E_CORRUPT. */
static bool same_or_told(const struct buf *contents, const char *what, size_t place)
{
    struct err e = ERR_INIT;
    struct store *s = NULL;
    struct buf now = BUF_INIT;
    bool opened = store_open(dir, MAP, false, &s, &e) == 0;
    bool told = !opened || !dump(s, &now, &e);
    if (told)
        ck_assert_msg(e.code == E_CORRUPT, "%s at %zu: %s", what, place, e.msg);
    else
        ck_assert_msg(str_eq(buf_str(&now), buf_str(contents)), "%s at %zu: other data", what, place);
    store_close(s);
    buf_free(&now);
    return told;
}

START_TEST(no_flipped_bit_gives_other_data)
{
    struct store *s = open_store();
    struct buf file = BUF_INIT, contents = BUF_INIT;
    struct err e = ERR_INIT;
    unsigned seed = seed_of(4711), told = 0;
    fill(s);
    ck_assert(dump(s, &contents, &e));
    store_close(s);
    load(&file);
    ck_assert(!same_or_told(&contents, "no damage", 0));
    for (unsigned at = 0; at < 600; at++) {
        /* Half of them in the meta pages and page heads, where a bit does most. */
        size_t page = (size_t) rand_r(&seed) % (file.len / 4096);
        size_t place = page * 4096 + (size_t) rand_r(&seed) % (at % 2 ? 4096 : page < 2 ? 168 : 64);
        char bit = (char) (1 << rand_r(&seed) % 8);
        file.p[place] ^= bit;
        save(&file, file.len);
        told += same_or_told(&contents, "bit flipped", place);
        file.p[place] ^= bit;
    }
    /* Pages that are free and space between nodes are about half of the file. */
    ck_assert_msg(told > 150, "only %u of 600 were told", told);
    buf_free(&file);
    buf_free(&contents);
}
END_TEST

START_TEST(no_zeroed_or_cut_file_gives_other_data)
{
    struct store *s = open_store();
    struct buf file = BUF_INIT, contents = BUF_INIT, hurt = BUF_INIT;
    struct err e = ERR_INIT;
    fill(s);
    ck_assert(dump(s, &contents, &e));
    store_close(s);
    load(&file);
    for (size_t page = 0; page < file.len / 4096; page++) {
        buf_reset(&hurt);
        buf_add(&hurt, file.p, file.len);
        memset(hurt.p + page * 4096, 0, 4096);
        save(&hurt, hurt.len);
        bool told = same_or_told(&contents, "page zeroed", page);
        ck_assert(told || page >= 2);
        save(&file, page * 4096 + 1000);
        told = same_or_told(&contents, "file cut", page * 4096 + 1000);
        ck_assert(told || page > 2);
    }
    save(&file, 0);
    expect_refused(dir, E_CORRUPT, "missing or empty");
    char path[128];
    path_of(path, "data.mdb");
    ck_assert_int_eq(unlink(path), 0);
    expect_refused(dir, E_CORRUPT, "missing or empty");
    buf_free(&file);
    buf_free(&contents);
    buf_free(&hurt);
}
END_TEST

/* The walk must not find fault with what LMDB itself writes. */
START_TEST(sound_files_pass_the_walk)
{
    struct err e = ERR_INIT;
    unsigned seed = seed_of(12);
    char key[16];
    char *value = mem_zalloc(1, 70000);
    for (int round = 0; round < 25; round++) {
        struct store *s = open_store();
        for (int txn = 0; txn < 4; txn++) {
            struct store_txn *t;
            ck_assert(store_begin(s, &t, &e) == 0);
            for (int at = 0; at < 60; at++) {
                enum store_table table = (enum store_table) (rand_r(&seed) % STORE_TABLES);
                key_of(rand_r(&seed) % 200, key);
                size_t len = (size_t) rand_r(&seed) % (at % 10 ? 900 : 70000);
                bool delete = rand_r(&seed) % 3 == 0;
                int rc = delete ? store_delete(t, table, str_of(key), &e)
                                : store_put(t, table, str_of(key), (struct str){value, len}, &e);
                ck_assert_msg(rc == 0, "round %d: %s (%llu used)", round, e.msg,
                              (unsigned long long) store_used_bytes(s));
            }
            ck_assert(txn == 2 ? (store_abort(t), true) : store_commit(t, &e) == 0);
        }
        store_close(s);
    }
    free(value);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store");
    TCase *t = tcase_create("store");
    tcase_add_checked_fixture(t, make_dir, drop_dir);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, checksum_by_its_known_values);
    tcase_add_test(t, keeps_what_was_put);
    tcase_add_test(t, one_process_and_its_name);
    tcase_add_test(t, directory_must_be_ours);
    tcase_add_test(t, another_version_is_refused_by_name);
    tcase_add_test(t, other_users_directory_is_refused);
    tcase_add_test(t, a_full_map_is_told_and_survived);
    tcase_add_test(t, a_full_disk_is_told_and_survived);
    tcase_add_test(t, no_flipped_bit_gives_other_data);
    tcase_add_test(t, no_zeroed_or_cut_file_gives_other_data);
    tcase_add_test(t, sound_files_pass_the_walk);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
