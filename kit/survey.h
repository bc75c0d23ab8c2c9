/* SPDX-License-Identifier: MIT */
/**
 * survey.h - what the runner has to know of a plugin before it runs cases: asked in a process of
 * its own, for a plugin may crash when it is loaded.
 */
#ifndef CT_SURVEY_H
#define CT_SURVEY_H

#include "subject.h"

struct ct_facts {
    enum ct_loaded loaded;
    char why[CT_WHY_BYTES]; /* it came no further */
    char name[40], version[40], capabilities[64];
    unsigned abi_minor;
    bool has_poll_fd; /* and turn */
    bool connector_alone;
    struct aioduct_probe probe; /* valid from CT_LOADED_PLUGIN on */
    /* Why a connector alone does not open, as it said itself; "" if it does, or said nothing. */
    char open_error[CT_WHY_BYTES];
};

/* -> the facts, which stay as they are until the next call; NULL: no process could be made. */
const struct ct_facts *ct_survey(const struct ct_target *plugin, const struct ct_target *runtime,
                                 unsigned timeout_s);

#endif
