/* SPDX-License-Identifier: MIT */
/** What nghttp2 1.60 renamed, under one name for all versions from 1.52 on. */
#ifndef AD_PROTO_H2_COMPAT_H
#define AD_PROTO_H2_COMPAT_H

#include <nghttp2/nghttp2.h>
#include <sys/types.h>

#if NGHTTP2_VERSION_NUM >= 0x013c00
typedef nghttp2_ssize ad_ng_ssize;
#define ad_ng_mem_recv nghttp2_session_mem_recv2
#define ad_ng_mem_send nghttp2_session_mem_send2
#define ad_ng_submit_request nghttp2_submit_request2
#define ad_ng_data_provider nghttp2_data_provider2
#else
typedef ssize_t ad_ng_ssize;
#define ad_ng_mem_recv nghttp2_session_mem_recv
#define ad_ng_mem_send nghttp2_session_mem_send
#define ad_ng_submit_request nghttp2_submit_request
#define ad_ng_data_provider nghttp2_data_provider
#endif

#endif
