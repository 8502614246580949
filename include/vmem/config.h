/* SPDX-License-Identifier: MIT */
/**
 * @file config.h - the choices that are made when the library is built. `meson install` writes the chosen
 * values into the installed copy, so a host never states them twice.
 */
#ifndef VMEM_CONFIG_H
#define VMEM_CONFIG_H

/** CPUs the library is built for. 1 builds a uniprocessor library: no host function for other CPUs exists. */
#ifndef VMEM_MAX_CPUS
#define VMEM_MAX_CPUS 1
#endif

/** 0: checks of memory safety and of the host's contract only. 1: also assertions, and freed frames are
 * poisoned. */
#ifndef VMEM_DEBUG
#define VMEM_DEBUG 0
#endif

/** 1: frames come from the host's own allocator (vmem_host_frame_alloc, vmem_host_frame_free) instead of
 * ours. */
#ifndef VMEM_HOST_FRAMES
#define VMEM_HOST_FRAMES 0
#endif

#if VMEM_MAX_CPUS < 1 || VMEM_MAX_CPUS > 64
#error "VMEM_MAX_CPUS must be 1 to 64"
#endif

#endif
