/* SPDX-License-Identifier: Apache-2.0 */
/* New namespaces, and why they cannot be had. */
#include "app/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/complain.h"
#include "app/files.h"

/* The kernel says "not permitted", or "no space", for many reasons: the settings tell which. */
static int complain_about_clone(int error)
{
	if (file_read_long("/proc/sys/user/max_user_namespaces", 1) == 0)
		return complain("user namespaces are switched off (user.max_user_namespaces is 0); "
				"allow them: sysctl user.max_user_namespaces=15000");
	if (file_read_long("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0 && geteuid() != 0)
		return complain(
		    "user namespaces are for root only (kernel.unprivileged_userns_clone is "
		    "0); allow them: sysctl kernel.unprivileged_userns_clone=1");
	if (file_read_long("/proc/sys/user/max_net_namespaces", 1) == 0)
		return complain(
		    "network namespaces are switched off (user.max_net_namespaces is 0); "
		    "allow them: sysctl user.max_net_namespaces=15000");
	if (file_read_long("/proc/sys/user/max_mnt_namespaces", 1) == 0)
		return complain("mount namespaces are switched off (user.max_mnt_namespaces is 0); "
				"allow them: sysctl user.max_mnt_namespaces=15000");
	if (file_read_long("/proc/sys/user/max_pid_namespaces", 1) == 0)
		return complain("PID namespaces are switched off (user.max_pid_namespaces is 0); "
				"allow them: sysctl user.max_pid_namespaces=15000");
	switch (error) {
	case ENOSPC:
	case EUSERS:
		return complain(
		    "there are too many namespaces, or they are nested too deeply (%s); "
		    "raise the limits in /proc/sys/user",
		    strerror(error));
	case EPERM:
	case EACCES:
		return complain(
		    "namespaces cannot be made: %s; in a container allow them (Docker: "
		    "--security-opt seccomp=unconfined), in a chroot they are impossible",
		    strerror(error));
	case EINVAL:
	case ENOSYS:
		return complain("the kernel has no user, network, mount or PID namespaces (%s); it "
				"needs CONFIG_USER_NS, CONFIG_NET_NS and CONFIG_PID_NS",
		    strerror(error));
	default:
		return complain("no process can be made in new namespaces: %s", strerror(error));
	}
}

pid_t sandbox_clone(void)
{
	static const unsigned long flags =
	    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | SIGCHLD;
	/* fork(3) takes no flags. This process has one thread, so nothing of libc can be in an
	 * intermediate state. */
	pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);

	return pid < 0 ? complain_about_clone(errno) : pid;
}

const char *sandbox_denial_remedy(void)
{
	int saved_errno = errno;
	bool is_apparmor =
	    file_read_long("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) != 0;

	errno = saved_errno;
	if (is_apparmor)
		return "AppArmor takes the rights in user namespaces away; allow them: sysctl "
		       "kernel.apparmor_restrict_unprivileged_userns=0, or load a profile for "
		       "sluice "
		       "with the rule `userns,`";
	return "is a security module (AppArmor, SELinux) or a container's runtime in the way?";
}
