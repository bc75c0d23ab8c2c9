/* SPDX-License-Identifier: MIT */
/**
 * The configuration file: "key = value" lines; a # at the start of a line or after a blank begins a
 * comment. Keys: runtime, connector, workers, plugin_directory (repeatable, absolute),
 * runtime.<name>.<option>, connector.<name>.<option>. Anything else is an error with file and line
 * number. A file that others
 * may write is refused: it can name plugins.
 */
#ifndef AD_PLUGIN_CONFIG_H
#define AD_PLUGIN_CONFIG_H

#include "plugin/name.h"

#include <aioduct/error.h>

struct ad_config; /* immutable once read */

/**
 * Read @path; or, if it is NULL, the file named by AIODUCT_CONFIG, else the user's
 * ($XDG_CONFIG_HOME/aioduct/aioduct.conf or ~/.config/aioduct/aioduct.conf), else
 * /etc/aioduct/aioduct.conf. "", also as the value of AIODUCT_CONFIG, reads none. A file that was
 * named must exist; the user's and the system's may be absent. Under AT_SECURE only the system's is
 * read. Returns: 0 with *@out owned (possibly an empty configuration) | -ENOMEM | AIODUCT_E_CONFIG
 * | -errno
 */
int ad_config_read(const char *path, struct ad_config **out, struct aioduct_error *error);
void ad_config_destroy(struct ad_config *config);

/* Value of the key, NULL if it is not set. *@out_line (may be NULL): its line. */
const char *ad_config_runtime(const struct ad_config *config, unsigned *out_line);
const char *ad_config_connector(const struct ad_config *config, unsigned *out_line);
int ad_config_workers(const struct ad_config *config);      /* 0 if not set */
const char *ad_config_path(const struct ad_config *config); /* "" if no file was read */
/* @i counts from 0; NULL after the last. *@out_line: its line. */
const char *ad_config_plugin_directory(const struct ad_config *config, unsigned i,
                                       unsigned *out_line);
/* "runtime.<plugin>.<key>", or of a connector; NULL if not set. It counts as asked for from now on.
 * Thread: any */
const char *ad_config_option(const struct ad_config *config, enum ad_kind kind, const char *plugin,
                             const char *key);
/* Has @plugin, which is open now, asked for all options that are set for it? What it did not ask
 * for it does not have. 0 | AIODUCT_E_CONFIG: @error names file and line */
int ad_config_check_options(const struct ad_config *config, enum ad_kind kind, const char *plugin,
                            struct aioduct_error *error);
/* Tell each option of a runtime other than @chosen. */
void ad_config_each_idle_option(const struct ad_config *config, const char *chosen,
                                void (*tell)(const char *source, const char *what, void *user),
                                void *user);
/* Line of the option that @text of @plugin complains of by its name; 0: of none. */
unsigned ad_config_line_of(const struct ad_config *config, enum ad_kind kind, const char *plugin,
                           const char *text);

#endif
