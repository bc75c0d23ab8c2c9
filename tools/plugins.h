/* SPDX-License-Identifier: MIT */
/** aioduct plugins [--json]: what is installed, what can run here and why not, what would be chosen
 * and by whom. */
#ifndef TOOLS_PLUGINS_H
#define TOOLS_PLUGINS_H

int plugins_main(int argc, char **argv);

#endif
