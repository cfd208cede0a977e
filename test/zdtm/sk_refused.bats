# Sockets that are not carried are refused by the names that programmers know them by.
load lib/zdtm
load lib/netns

setup() { netns_plain; }

# has ARGUMENTS...: start the victim; false: there is no such socket here.
has() {
	fresh_dir
	start "$BUILD/test/zdtm/sk_refused" "$@"
	within 20 parked_or_gone
	[ -e "$dir/parked" ]
}

# refused WHAT WHY [OPTION...]
refused() {
	run -4 crtool dump -t "$pid" -D "$(images)" "${@:3}"
	[[ $output == *"task $pid (sk_refused): fd "*"$1"*"$2"* ]] || explain "$output"
	running "$pid"
	release
}

@test "families of sockets that this version does not carry, those that the kernel has" {
	local name arguments seen=0

	while IFS=: read -r arguments name; do
		# shellcheck disable=SC2086 # several
		has $arguments || continue
		refused "($name" "): not supported by this version; --on-unknown-fd=null or =close lets it go"
		((seen += 1))
	done <<-END
		2 1 132:IPv4 SCTP
		10 5 132:IPv6 SCTP
		2 6 33:IPv4 DCCP
		2 1 256:IPv4 SMC
		2 2 115:IPv4 L2TP/IP
		38 5 0:AF_ALG, kernel crypto socket
		15 3 2:AF_KEY, IPsec keys socket
		21 5 0:AF_RDS socket
		24 2 1:AF_PPPOX, PPP or L2TP socket
		26 2 0:AF_LLC socket
		29 3 1:AF_CAN socket
		30 1 0:AF_TIPC socket
		31 3 1:Bluetooth socket
		41 2 0:AF_KCM, kernel connection multiplexor socket
		42 2 0:AF_QIPCRTR socket
		43 1 0:AF_SMC socket
		44 3 0:AF_XDP socket
		45 2 0:AF_MCTP socket
	END
	((seen)) || skip "no such sockets here"
}

@test "kernel TLS is refused by name" {
	has tls || skip "no kernel TLS here"
	refused "IPv4 TCP" "the kernel itself encrypts it (TCP_ULP tls)" --tcp-established
}
