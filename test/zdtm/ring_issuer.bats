load lib/zdtm
load lib/ring

# As the dump does: a ring that defers tells so when it is to be resized.
setup() {
	python3 - <<'END' || skip "no such rings here, or a kernel that does not tell how they were made"
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
params = (ctypes.c_uint32 * 30)()
params[2] = 1 << 12 | 1 << 13
ring = libc.syscall(425, 1, params)
sys.exit(ring < 0 or libc.syscall(427, ring, 33, 8, 1) >= 0 or ctypes.get_errno() != errno.EFAULT)
END
}

@test "a ring that the main thread alone may use" { zdtm ring_issuer single; }
@test "one whose completions wait for this thread (IORING_SETUP_DEFER_TASKRUN)" { once ring_issuer defer; }
@test "one that was not used yet" { once ring_issuer late; }

@test "one with registered buffers" {
	accept='status.VmPin' # they are accounted to who has made the ring
	once ring_issuer buffers
}

@test "what such a ring is refused for, by name" {
	refused_ring ring_issuer thread "is not the main thread"
	refused_ring ring_issuer groups "it has provided buffers" blind_crtool
}
