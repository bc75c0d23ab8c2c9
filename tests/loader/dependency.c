/* SPDX-License-Identifier: MIT */
/* A library that a plugin needs, and that is not there when the plugin is loaded. */
void loader_test_dependency(void);

__attribute__((visibility("default"))) void loader_test_dependency(void)
{
}
