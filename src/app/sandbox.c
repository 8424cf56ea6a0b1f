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
#include "base/text.h"

enum {
	PATH_LEN = 64,
};

/* The kernel says "not permitted", or "no space", for many reasons: the settings tell which. */
int sandbox_complain(int error)
{
	static const struct {
		const char *file; /* of /proc/sys/user: max_..._namespaces */
		const char *name;
	} kinds[] = {
	    {"net", "network"}, {"mnt", "mount"}, {"pid", "PID"}, {"ipc", "IPC"}, {"uts", "UTS"}};
	char path[PATH_LEN];

	if (file_read_long("/proc/sys/user/max_user_namespaces", 1) == 0)
		return complain("user namespaces are switched off (user.max_user_namespaces is 0); "
				"allow them: sysctl user.max_user_namespaces=15000");
	if (file_read_long("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0 && geteuid() != 0)
		return complain(
		    "user namespaces are for root only (kernel.unprivileged_userns_clone is "
		    "0); allow them: sysctl kernel.unprivileged_userns_clone=1");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct text t = text_init(path, sizeof(path));

		text_printf(&t, "/proc/sys/user/max_%s_namespaces", kinds[i].file);
		if (file_read_long(path, 1) == 0)
			return complain("%s namespaces are switched off (user.max_%s_namespaces is "
					"0); allow them: sysctl user.max_%s_namespaces=15000",
			    kinds[i].name, kinds[i].file, kinds[i].file);
	}
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

	return pid < 0 ? sandbox_complain(errno) : pid;
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
