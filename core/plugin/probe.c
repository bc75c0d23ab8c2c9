/* SPDX-License-Identifier: MIT */
#include "plugin/probe.h"

#include "base/error.h"
#include "plugin/config.h"
#include "plugin/text.h"

#include <string.h>

int ad_probe_run(enum ad_kind kind, const struct ad_plugin *plugin, const struct ad_config *config,
                 struct aioduct_probe *out)
{
    struct aioduct_error said = {0};
    struct ad_setup_host host;
    *out = (struct aioduct_probe){.size = sizeof *out};
    if (plugin->descriptor->probe == NULL) {
        return 0;
    }
    ad_setup_host_init(&host, kind, plugin->name, config, &said);
    plugin->descriptor->probe(&host.host, out);
    char text[sizeof out->reason];
    ad_text_copy(text, sizeof text, out->reason[0] != '\0' ? out->reason : said.message);
    if (text[0] == '\0') {
        ad_text_copy(text, sizeof text, aioduct_error_text(out->code));
    }
    memcpy(out->reason, text, sizeof text);
    ad_text_copy(text, sizeof text, out->hint);
    memcpy(out->hint, text, sizeof text);
    ad_plugin_trace("%s: probe says %d%s%s", plugin->name, out->code, out->code == 0 ? "" : ": ",
                    out->code == 0 ? "" : out->reason);
    if (out->code == 0) {
        return 0;
    }
    return out->code == AIODUCT_E_UNAVAILABLE ? AIODUCT_E_UNAVAILABLE : AIODUCT_E_PLUGIN_INVALID;
}

int ad_probe_check(enum ad_kind kind, const struct ad_plugin *plugin,
                   const struct ad_config *config, struct aioduct_error *error)
{
    struct aioduct_probe answer;
    int code = ad_probe_run(kind, plugin, config, &answer);
    if (code == 0) {
        return 0;
    }
    unsigned line = ad_config_line_of(config, kind, plugin->name, answer.reason);
    if (code != AIODUCT_E_UNAVAILABLE && line != 0) {
        code = AIODUCT_E_CONFIG;
        ad_plugin_fail(error, code, "%s:%u: %s '%s': %s", ad_config_path(config), line,
                       ad_kind_word(kind), plugin->name, answer.reason);
    } else if (code == AIODUCT_E_UNAVAILABLE) {
        ad_plugin_fail(error, code, "%s unavailable: %s", plugin->name, answer.reason);
    } else {
        ad_plugin_fail(error, code, "%s '%s' (%s) is broken: its probe failed: %s",
                       ad_kind_word(kind), plugin->name, plugin->origin, answer.reason);
    }
    if (error != NULL && answer.code < 0 && answer.code >= -4095) {
        error->os_code = -answer.code;
    }
    ad_error_hint(error, "%s", answer.hint);
    return code;
}
