# A program that listens to the kernel.
load lib/apps
load ../zdtm/lib/netns

setup() { netns_plain; }

says() {
	grep -qF "$1" "$dir/out"
}

@test "ip monitor hears of addresses, dumped and restored" {
	local n

	needs ip
	fresh_dir
	start ip monitor address
	within 20 listens
	for n in 1 2 3; do
		in_netns "$netns" ip addr add "10.77.$n.1/24" dev lo
		within 20 says "10.77.$n.1/24"
		dump_and_restore
	done
	in_netns "$netns" ip addr add 10.77.4.1/24 dev lo
	within 20 says 10.77.4.1/24
	dump_running
	in_netns "$netns" ip addr add 10.77.5.1/24 dev lo
	within 20 says 10.77.5.1/24
	[ ! -s "$dir/err" ] || explain "it complains"
}

# What it was told while it was stopped waits: refused, or let go by policy, and it hears what comes after.
@test "ip monitor with news that wait: refused, or drained" {
	needs ip
	fresh_dir
	start ip monitor address
	within 20 listens
	kill -STOP "$pid"
	within 20 grep -q '^State:.T' "/proc/$pid/status"
	in_netns "$netns" ip addr add 10.77.1.1/24 dev lo
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"--netlink-queue"* ]]
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to" --netlink-queue drain
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	kill -CONT "$pid"
	in_netns "$netns" ip addr add 10.77.2.1/24 dev lo
	within 20 says 10.77.2.1/24
	! says 10.77.1.1/24
}

# It is in the group of IPv4 addresses.
listens() {
	in_netns "$netns" grep -q " $pid " /proc/net/netlink 2>/dev/null ||
		in_netns "$netns" awk 'NR > 1 && $2 == 0 && $4 != "00000000" { found = 1 } END { exit !found }' /proc/net/netlink
}
