/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/base/store.h"
#include "agent/source/preflight_local.h"

#define MAGIC_TMPFS 0x01021994
#define MAGIC_FUSE 0x65735546

/* The state directory, or the nearest one above it that is there already: that is where it will
 * be made. False when path is too long. */
static bool nearest_directory(const char *path, char out[4096])
{
    size_t len = strlen(path);
    if (len >= 4096)
        return false;
    memcpy(out, path, len + 1);
    while (access(out, F_OK) != 0 && len > 0) {
        while (len > 0 && out[len - 1] != '/')
            len--;
        while (len > 1 && out[len - 1] == '/')
            len--;
        out[len] = 0;
    }
    if (!len)
        snprintf(out, 4096, "%s", ".");
    return true;
}

static bool check_writable(const struct preflight *p, const char *place)
{
    struct stat st;
    const char *state = p->config->state;
    bool there = access(state, F_OK) == 0;
    if (stat(place, &st) < 0 || access(place, R_OK | W_OK | X_OK) < 0) {
        preflight_say(p, FINDING_FAIL, E_STATE_DIR, "state", NULL, "state directory %s: %s", place,
                      strerror(errno));
        return false;
    }
    if (!S_ISDIR(st.st_mode))
        preflight_say(p, FINDING_FAIL, E_STATE_DIR, "state", NULL, "%s is not a directory", place);
    else if (!there)
        preflight_pass(p, "state", "state directory %s will be made, with mode 0700", state);
    else if (st.st_mode & (S_IRWXG | S_IRWXO))
        preflight_say(p, FINDING_WARN, E_STATE_DIR, "state", "chmod 700 it",
                      "state directory %s, which holds copies of rows, is open to other users "
                      "(mode %04o)", state, (unsigned) st.st_mode & 07777u);
    else
        preflight_pass(p, "state", "state directory %s is ours alone", state);
    return S_ISDIR(st.st_mode);
}

/* LMDB's map and locks do not hold across machines; what is in memory is lost with it. */
static void check_file_system(const struct preflight *p, const char *place)
{
    struct statfs fs;
    const char *network = store_network_fs(place);
    if (statfs(place, &fs) < 0)
        preflight_say(p, FINDING_FAIL, E_STATE_DIR, "file_system", NULL, "statfs of %s: %s", place,
                      strerror(errno));
    else if (network)
        preflight_say(p, FINDING_FAIL, E_STATE_DIR, "file_system", NULL,
                      "state directory %s is on %s, a network file system", place, network);
    else if ((unsigned long) fs.f_type == MAGIC_TMPFS)
        preflight_say(p, FINDING_WARN, E_STATE_DIR, "file_system", NULL,
                      "state directory %s is in memory (tmpfs): after a restart of the machine "
                      "everything is copied again", place);
    else if ((unsigned long) fs.f_type == MAGIC_FUSE)
        preflight_say(p, FINDING_WARN, E_STATE_DIR, "file_system", NULL,
                      "state directory %s is on a FUSE file system: only a local one with working "
                      "locks, maps and sync is safe", place);
    else
        preflight_pass(p, "file_system", "state directory is on a local file system");
}

/* The bus may grow to its budget, and LMDB's map is a quarter larger; transactions under way come on top. */
static void check_space(const struct preflight *p, const char *place)
{
    char path[4200];
    struct statvfs fs;
    struct stat data;
    struct buf need = BUF_INIT, have = BUF_INIT;
    double wanted = ((double) p->config->bus.max_mb * 1.25 +
                     (p->config->source.streaming ? (double) p->config->source.spill_max_mb : 0)) * 1024 * 1024;
    if (statvfs(place, &fs) < 0) {
        preflight_say(p, FINDING_FAIL, E_STATE_DIR, "disk_space", NULL, "statvfs of %s: %s", place,
                      strerror(errno));
        return;
    }
    double free_bytes = (double) fs.f_bavail * (double) fs.f_frsize;
    snprintf(path, sizeof path, "%s/data.mdb", p->config->state);
    double used = stat(path, &data) == 0 ? (double) data.st_blocks * 512 : 0;
    preflight_add_bytes(&have, free_bytes);
    preflight_add_bytes(&need, wanted > used ? wanted - used : 0);
    if (free_bytes < wanted - used)
        preflight_say(p, FINDING_WARN, E_DISK_FULL, "disk_space",
                      "free space there, or lower bus.max_mb and source.spill_max_mb: when a target "
                      "is down, the disk would be full before the bus is at its budget",
                      "%s are free under the state directory, less than the %s that bus.max_mb and "
                      "source.spill_max_mb may still take", have.p, need.p);
    else
        preflight_pass(p, "disk_space",
                       "%s are free under the state directory; bus.max_mb and source.spill_max_mb may take %s", have.p,
                       need.p);
    buf_free(&need);
    buf_free(&have);
}

void preflight_check_disk(struct preflight *p)
{
    char place[4096];
    if (!nearest_directory(p->config->state, place)) {
        preflight_say(p, FINDING_FAIL, E_STATE_DIR, "state", NULL, "path of state is too long");
        return;
    }
    if (!check_writable(p, place))
        return;
    check_file_system(p, place);
    check_space(p, place);
}
