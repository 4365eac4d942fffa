/* What follows from a violation: the mode and the verdict of the site or else of the policy. Built-in rules are not
 * subject to either.
 */
#include <asm/errno.h>

#include "preload/check.h"
#include "preload/event.h"
#include "preload/log.h"
#include "preload/state.h"

static enum mode mode_of(const struct call *call, const struct violation *violation) {
    if (violation->built_in)
        return MODE_ENFORCE;
    if (call->site != NULL && call->site->mode != MODE_INHERIT)
        return call->site->mode;
    return STATE->mode;
}

static enum verdict verdict_of(const struct call *call, const struct violation *violation) {
    if (violation->verdict != VERDICT_INHERIT)
        return violation->verdict;
    if (!violation->built_in && call->site != NULL && call->site->verdict != VERDICT_INHERIT)
        return call->site->verdict;
    enum verdict verdict = STATE->on_violation;
    if (violation->built_in && verdict != VERDICT_KILL)
        return VERDICT_DENY;
    return verdict;
}

/* Stacks that cannot be walked are allowed by default and may be many: the first ones tell what there is to tell. */
static bool is_told(void) {
    static uint32_t told; /* atomic; decides nothing but the log */
    return __atomic_fetch_add(&told, 1, __ATOMIC_RELAXED) >= 16;
}

bool violate(struct call *call, const struct violation *violation) {
    enum mode mode = mode_of(call, violation);
    enum verdict verdict = verdict_of(call, violation);
    if (mode == MODE_OFF || mode == MODE_LEARN)
        return true;
    if (verdict == VERDICT_ALLOW && (violation->reason != REASON_STACK_UNKNOWN || is_told()))
        return true;
    if (mode == MODE_AUDIT && verdict != VERDICT_ALLOW)
        verdict = VERDICT_LOG;
    log_violation(call, violation, verdict, mode);
    if (mode == MODE_ENFORCE && (verdict == VERDICT_DENY || verdict == VERDICT_KILL))
        event_violation(call, violation, verdict);
    switch (verdict) {
    case VERDICT_LOG:
    case VERDICT_ALLOW: return true;
    case VERDICT_DENY: fail(call, violation->reason == REASON_BAD_POINTER ? EFAULT : EPERM); return false;
    default: end_process();
    }
}
