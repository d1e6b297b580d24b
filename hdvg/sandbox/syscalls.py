"""The system calls of Linux that limited children may make, by number: a list of what is allowed, not of what is not."""

from __future__ import annotations

import functools
import platform

MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""By machine: its name in linux/audit.h, and its column in the tables."""

ALLOWED = """
futex 202 98, read 0 63, write 1 64, lseek 8 62, mmap 9 222, munmap 11 215, madvise 28 233, brk 12 214, mremap 25 216,
mprotect 10 226, mincore 27 232, msync 26 227, mbind 237 235, get_mempolicy 239 236, set_mempolicy 238 237,
membarrier 324 283, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
preadv2 327 286, pwritev2 328 287, open 2 -, openat 257 56, close 3 57, dup 32 23, dup2 33 -, dup3 292 24, flock 73 32,
stat 4 -, lstat 6 -, fstat 5 80, newfstatat 262 79, statx 332 291, statfs 137 43, fstatfs 138 44, access 21 -,
faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, getdents64 217 61, getdents 78 -, getcwd 79 17,
chdir 80 49, fchdir 81 50, umask 95 166, mkdir 83 -, mkdirat 258 34, unlink 87 -, unlinkat 263 35, rmdir 84 -,
rename 82 -, renameat 264 38, renameat2 316 276, ftruncate 77 46, fallocate 285 47, fadvise64 221 223, fsync 74 82,
fdatasync 75 83, sync_file_range 277 84, copy_file_range 326 285, sendfile 40 71, pipe 22 -, pipe2 293 59,
splice 275 76, close_range 436 436,
poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21,
epoll_wait 232 -, epoll_pwait 281 22, epoll_pwait2 441 441, eventfd 284 -, eventfd2 290 19, nanosleep 35 101,
clock_nanosleep 230 115, pause 34 -, timerfd_create 283 85, timerfd_settime 286 86, timerfd_gettime 287 87,
futex_waitv 449 449, set_robust_list 273 99, get_robust_list 274 100, set_tid_address 218 96, rseq 334 293,
sched_yield 24 124, sched_getaffinity 204 123, sched_setaffinity 203 122, sched_getparam 143 121,
sched_getscheduler 145 120, sched_get_priority_max 146 125, sched_get_priority_min 147 126, getcpu 309 168,
gettid 186 178, exit 60 93, exit_group 231 94, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139,
rt_sigpending 127 136, rt_sigtimedwait 128 137, rt_sigsuspend 130 133, sigaltstack 131 132, restart_syscall 219 128,
getitimer 36 102, setitimer 38 103, alarm 37 -, arch_prctl 158 -,
getpid 39 172, getppid 110 173, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getgroups 115 158,
getresuid 118 148, getresgid 120 150, getpgrp 111 -, getpgid 121 155, getsid 124 156, getrlimit 97 163,
getrusage 98 165, getpriority 140 141, times 100 153, time 201 -, gettimeofday 96 169, clock_gettime 228 113,
clock_getres 229 114, uname 63 160, sysinfo 99 179, getrandom 318 278, capget 125 90,
socketpair 53 199, recvfrom 45 207, getsockname 51 204, getpeername 52 205, getsockopt 55 209, setsockopt 54 208,
shutdown 48 210
"""
"""Calls that reach nothing outside the process but what it has opened; no fork, no program, no socket but pairs, no link,
no rights of files, no other process. A name with its numbers on x86_64 and aarch64."""

NETWORK = "connect 42 203, bind 49 200, sendmsg 46 211, recvmsg 47 212, sendmmsg 307 269, recvmmsg 299 243"
"""What a child with the network may do as well."""

CHECKED = """
clone 56 220, clone3 435 435, socket 41 198, sendto 44 206, fcntl 72 25, ioctl 16 29, prctl 157 167, prlimit64 302 261,
kill 62 129, tgkill 234 131
"""
"""Calls that are allowed with some arguments only: see `hdvg.sandbox.seccomp`."""

REFUSED = """
socket 41 198, connect 42 203, ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, pidfd_getfd 438 438,
pidfd_send_signal 424 424, kill 62 129, tkill 200 130, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240,
io_uring_setup 425 425, bpf 321 280, perf_event_open 298 241, userfaultfd 323 282, keyctl 250 219, add_key 248 217,
request_key 249 218, unshare 272 97, setns 308 268, mount 165 40
"""
"""What a program of somebody else may not do, a JavaScript runtime, whose other calls nobody can list: sockets but pairs
(Landlock does not hold off those that are files), ways around the filter, and reaching into other processes."""


@functools.cache
def numbers(table: str, machine: str | None = None) -> dict[str, int]:
    """The calls of a table with their numbers on a machine (None: this one) that is in `MACHINES`; what it lacks is left out."""
    column = MACHINES[machine or platform.machine()][1]
    found = (entry.split() for entry in table.split(","))
    return {name: int(both[column]) for name, *both in found if both[column] != "-"}
