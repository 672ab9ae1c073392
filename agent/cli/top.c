/* SPDX-License-Identifier: Apache-2.0
 *
 * `tailrace top`: the status every second, as a screen on a terminal and as a line otherwise.
 *
 * On a terminal keys are read one by one, Ctrl-C among them (so that no signal can leave the
 * terminal changed): q and Ctrl-C end. A process that goes away is told and asked again, because
 * whoever watches a restart wants to see it come back.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/config.h"
#include "agent/cli/status.h"

#define TURN_US 1000000

struct top {
    const struct env *env;
    const char *state;
    bool screen, color, keys;
    struct termios before; /* of standard input, when keys */
    struct status_past past;
};

static void begin_screen(struct top *t)
{
    t->screen = isatty(STDOUT_FILENO);
    t->color = t->screen && !getenv("NO_COLOR");
    t->keys = t->screen && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->before) == 0;
    if (t->keys) {
        struct termios raw = t->before;
        raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO | ISIG);
        t->keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    if (t->screen)
        fputs("\033[?25l\033[2J", stdout);
}

static void end_screen(const struct top *t)
{
    if (t->screen)
        fputs("\033[?25h", stdout);
    if (t->keys)
        (void) tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
    fflush(stdout);
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* Lines over the last screen, each cut at the terminal's width: a wrapped one would scroll. */
static void draw(struct str text, int columns)
{
    int column = 0;
    bool escape = false;
    fputs("\033[H", stdout);
    for (size_t at = 0; at < text.len; at++) {
        char c = text.p[at];
        if (c == '\n') {
            fputs("\033[K\n", stdout);
            column = 0;
            continue;
        }
        escape = escape || c == '\033';
        bool starts = !escape && ((unsigned char) c & 0xc0) != 0x80;
        column += starts;
        if (escape || column <= columns)
            putchar(c);
        if (escape && c == 'm')
            escape = false;
    }
    fputs("\033[J", stdout);
}

/* One look, drawn. -1 when nothing answers: then that is what is shown. */
static int take_turn(struct top *t, struct err *e)
{
    struct buf json = BUF_INIT, out = BUF_INIT;
    int failed = status_ask(t->state, &json, e);
    if (failed) {
        buf_addf(&out, t->screen ? "%s\n%s\n" : "%s; %s", e->msg, e->hint);
    } else if (t->screen) {
        status_screen(buf_str(&json), &t->past, t->color, &out);
        buf_add_text(&out, "\nq ends\n");
    } else {
        status_line(buf_str(&json), clock_wall_us(t->env->clock), &t->past, &out);
    }
    if (t->screen)
        draw(buf_str(&out), terminal_columns());
    else
        puts(out.p);
    fflush(stdout);
    buf_free(&json);
    buf_free(&out);
    return failed;
}

/* Wait for the next turn; true when it is to end. */
static bool wait_turn(const struct top *t, int64_t until_us)
{
    for (;;) {
        struct pollfd fds[2] = {{t->env->stop_fd, POLLIN, 0},
                                {t->keys ? STDIN_FILENO : -1, POLLIN, 0}};
        int64_t left_us = until_us - clock_mono_us(t->env->clock);
        char key;
        if (left_us <= 0)
            return env_stop(t->env) != STOP_NONE;
        (void) poll(fds, 2, (int) ((left_us + 999) / 1000));
        if (env_stop(t->env) != STOP_NONE)
            return true;
        if (fds[1].revents && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 3))
            return true;
    }
}

static int watch(struct top *t, int64_t turns, struct err *e)
{
    int64_t next_us = clock_mono_us(t->env->clock);
    for (int64_t turn = 0; turns == 0 || turn < turns; turn++) {
        struct err why = ERR_INIT;
        if (take_turn(t, &why) < 0 && turn == 0) {
            *e = why;
            return -1;
        }
        next_us += TURN_US;
        if (turn + 1 != turns && wait_turn(t, next_us))
            break;
        if (ferror(stdout))
            return err_set(e, E_SYSTEM, "cannot write to standard output");
    }
    return 0;
}

int cmd_top(struct cli *c, struct err *e)
{
    struct config *config = cli_config(c, e);
    int64_t turns = 0;
    int result = -1;
    if (!config)
        return -1;
    if (cli_number(c, "count", 0, INT64_MAX, &turns, e) == 0) {
        struct top t = {.env = c->env, .state = config->state};
        begin_screen(&t);
        result = watch(&t, turns, e);
        end_screen(&t);
    }
    config_free(config);
    return result;
}
