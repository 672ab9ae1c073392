/* SPDX-License-Identifier: Apache-2.0
 *
 * A parked row as JSON: the control socket and the command line print the same.
 */
#include "agent/hub/park.h"

void park_row_json(const struct parked *row, struct buf *out)
{
    buf_addf(out, "{\"number\":%llu,\"route\":", (unsigned long long) row->number);
    buf_add_json(out, row->route);
    buf_add_text(out, ",\"topic\":");
    buf_add_json(out, row->topic);
    buf_add_text(out, ",\"key\":");
    buf_add_json(out, row->key_json);
    buf_addf(out, ",\"lsn\":\"%s\",\"seq\":%llu,\"commit_us\":%lld,\"parked_us\":%lld",
             LSN_STR(row->pos.lsn), (unsigned long long) row->pos.seq, (long long) row->commit_us,
             (long long) row->parked_us);
    buf_addf(out, ",\"code\":\"%s\",\"sqlstate\":\"%s\",\"behind\":%llu,\"reason\":",
             err_name(row->code), row->sqlstate, (unsigned long long) row->behind);
    buf_add_json(out, row->reason);
    buf_add_char(out, '}');
}
