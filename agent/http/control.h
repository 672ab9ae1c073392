/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two sides of the control socket share. Internal to this folder.
 */
#ifndef TR_HTTP_CONTROL_H
#define TR_HTTP_CONTROL_H

#include <sys/un.h>

#define CONTROL_NAME "control.sock"

/* The address of <state>/control.sock. A path longer than an address holds (107 bytes) is named
 * through dir_fd, an open descriptor of the directory, by /proc/self/fd. */
void control_address(const char *state, int dir_fd, struct sockaddr_un *out);

#endif
