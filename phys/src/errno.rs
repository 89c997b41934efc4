// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux error numbers, and what they mean for a page of memory.

use std::{fmt, io};

/// A Linux error number, as a positive integer. Each has a constant of its name:
/// [`Errno::EIO`], [`Errno::EHWPOISON`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(i32);

macro_rules! errnos {
    ($($code:literal $name:ident $text:literal;)+) => {
        impl Errno {
            $(
                #[doc = $text]
                pub const $name: Self = Self($code);
            )+
        }

        /// Number, name and short text, by number.
        const TABLE: &[(i32, &str, &str)] = &[$(($code, stringify!($name), $text)),+];
    };
}

// The numbering of include/uapi/asm-generic/errno-base.h and errno.h, which x86-64
// and arm64 share.
errnos! {
    1 EPERM "operation not permitted";
    2 ENOENT "no such file or directory";
    3 ESRCH "no such process";
    4 EINTR "interrupted by a signal";
    5 EIO "input/output error";
    6 ENXIO "no such device or address";
    7 E2BIG "argument list too long";
    8 ENOEXEC "executable format not recognized";
    9 EBADF "bad file descriptor";
    10 ECHILD "no child process";
    11 EAGAIN "temporarily unavailable, try again";
    12 ENOMEM "out of memory";
    13 EACCES "permission denied";
    14 EFAULT "bad address";
    15 ENOTBLK "not a block device";
    16 EBUSY "device or resource busy";
    17 EEXIST "file exists";
    18 EXDEV "link across file systems";
    19 ENODEV "no such device";
    20 ENOTDIR "not a directory";
    21 EISDIR "is a directory";
    22 EINVAL "invalid argument";
    23 ENFILE "too many open files in the system";
    24 EMFILE "too many open files in this process";
    25 ENOTTY "ioctl not supported by this device";
    26 ETXTBSY "program file is in use";
    27 EFBIG "file too large";
    28 ENOSPC "no space left on device";
    29 ESPIPE "not seekable";
    30 EROFS "read-only file system";
    31 EMLINK "too many links";
    32 EPIPE "broken pipe";
    33 EDOM "argument outside the function's domain";
    34 ERANGE "result out of range";
    35 EDEADLK "resource deadlock avoided";
    36 ENAMETOOLONG "file name too long";
    37 ENOLCK "no locks available";
    38 ENOSYS "system call not implemented";
    39 ENOTEMPTY "directory not empty";
    40 ELOOP "too many symbolic links";
    42 ENOMSG "no message of the wanted type";
    43 EIDRM "identifier removed";
    44 ECHRNG "channel number out of range";
    45 EL2NSYNC "level 2 not synchronized";
    46 EL3HLT "level 3 halted";
    47 EL3RST "level 3 reset";
    48 ELNRNG "link number out of range";
    49 EUNATCH "protocol driver not attached";
    50 ENOCSI "no CSI structure available";
    51 EL2HLT "level 2 halted";
    52 EBADE "invalid exchange";
    53 EBADR "invalid request descriptor";
    54 EXFULL "exchange full";
    55 ENOANO "no anode";
    56 EBADRQC "invalid request code";
    57 EBADSLT "invalid slot";
    59 EBFONT "bad font file format";
    60 ENOSTR "not a stream device";
    61 ENODATA "no data available";
    62 ETIME "timer expired";
    63 ENOSR "out of stream resources";
    64 ENONET "machine is not on the network";
    65 ENOPKG "package not installed";
    66 EREMOTE "object is remote";
    67 ENOLINK "link has been severed";
    68 EADV "advertise error";
    69 ESRMNT "srmount error";
    70 ECOMM "communication error on send";
    71 EPROTO "protocol error";
    72 EMULTIHOP "multihop attempted";
    73 EDOTDOT "RFS-specific error";
    74 EBADMSG "message not recognized as valid";
    75 EOVERFLOW "value too large for its type";
    76 ENOTUNIQ "name not unique on the network";
    77 EBADFD "file descriptor in a bad state";
    78 EREMCHG "remote address changed";
    79 ELIBACC "shared library not accessible";
    80 ELIBBAD "shared library corrupted";
    81 ELIBSCN "library section in a.out corrupted";
    82 ELIBMAX "too many shared libraries";
    83 ELIBEXEC "shared library cannot be executed directly";
    84 EILSEQ "illegal byte sequence";
    85 ERESTART "interrupted system call should be restarted";
    86 ESTRPIPE "stream pipe error";
    87 EUSERS "too many users";
    88 ENOTSOCK "not a socket";
    89 EDESTADDRREQ "destination address required";
    90 EMSGSIZE "message too long";
    91 EPROTOTYPE "wrong protocol type for the socket";
    92 ENOPROTOOPT "protocol not available";
    93 EPROTONOSUPPORT "protocol not supported";
    94 ESOCKTNOSUPPORT "socket type not supported";
    95 EOPNOTSUPP "operation not supported";
    96 EPFNOSUPPORT "protocol family not supported";
    97 EAFNOSUPPORT "address family not supported";
    98 EADDRINUSE "address already in use";
    99 EADDRNOTAVAIL "address not available";
    100 ENETDOWN "network is down";
    101 ENETUNREACH "network is unreachable";
    102 ENETRESET "network dropped the connection";
    103 ECONNABORTED "connection aborted";
    104 ECONNRESET "connection reset by peer";
    105 ENOBUFS "no buffer space available";
    106 EISCONN "socket is already connected";
    107 ENOTCONN "socket is not connected";
    108 ESHUTDOWN "endpoint has been shut down";
    109 ETOOMANYREFS "too many references";
    110 ETIMEDOUT "timed out";
    111 ECONNREFUSED "connection refused";
    112 EHOSTDOWN "host is down";
    113 EHOSTUNREACH "no route to host";
    114 EALREADY "operation already in progress";
    115 EINPROGRESS "operation now in progress";
    116 ESTALE "stale file handle";
    117 EUCLEAN "file system structure needs cleaning";
    118 ENOTNAM "not a XENIX named type file";
    119 ENAVAIL "no XENIX semaphores available";
    120 EISNAM "is a named type file";
    121 EREMOTEIO "remote input/output error";
    122 EDQUOT "disk quota exceeded";
    123 ENOMEDIUM "no medium in the drive";
    124 EMEDIUMTYPE "wrong medium type";
    125 ECANCELED "operation canceled";
    126 ENOKEY "required key not available";
    127 EKEYEXPIRED "key has expired";
    128 EKEYREVOKED "key has been revoked";
    129 EKEYREJECTED "key was rejected";
    130 EOWNERDEAD "owner died";
    131 ENOTRECOVERABLE "state not recoverable";
    132 ERFKILL "blocked by a radio kill switch";
    133 EHWPOISON "memory page has a hardware error";
}

impl Errno {
    /// The error number `code`.
    #[must_use]
    pub const fn new(code: i32) -> Self {
        Self(code)
    }

    /// The number that `error` carries; `None` if it did not come from the kernel.
    #[must_use]
    pub fn from_io(error: &io::Error) -> Option<Self> {
        error.raw_os_error().map(Self)
    }

    /// The positive number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    /// `EIO` and the like; `None` for numbers that Linux does not define.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.entry().map(|&(_, name, _)| name)
    }

    /// What the number says in general: "input/output error" and the like.
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        self.entry().map(|&(_, _, text)| text)
    }

    /// What the number says when it is the reason why a *page* could not be read;
    /// `None` for numbers that no page is refused with.
    #[must_use]
    pub const fn meaning(self) -> Option<&'static str> {
        Some(match self {
            Self::EPERM => "not allowed: lockdown or a missing capability",
            Self::EIO => "the hardware, the kernel's mapping or the image's file failed",
            Self::ENXIO => "no such physical address",
            Self::EACCES => "device memory or a hole, which was not requested",
            Self::EFAULT => "not mapped",
            Self::EBUSY => "the layout changed while memory was added or removed",
            Self::ENODATA => "offline, ballooned or not yet accepted",
            Self::EOPNOTSUPP => "not supported on this machine",
            Self::ENOLINK => "cut off: the image's file, or its manifest, ends before it",
            Self::ETIMEDOUT => "the source did not answer in time",
            Self::ECANCELED => "the run was stopped before it reached the page",
            Self::EHWPOISON => "the hardware reported the page as faulty",
            _ => return None,
        })
    }

    fn entry(self) -> Option<&'static (i32, &'static str, &'static str)> {
        let index = TABLE.binary_search_by_key(&self.0, |&(code, _, _)| code);
        TABLE.get(index.ok()?)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_have_their_names_and_others_stay_numbers() {
        assert_eq!(Errno::EIO.to_string(), "EIO");
        assert_eq!(Errno::new(133), Errno::EHWPOISON);
        assert_eq!(Errno::new(133).to_string(), "EHWPOISON");
        assert_eq!(Errno::EHWPOISON.get(), 133);
        for code in [i32::MIN, -1, 0, 41, 58, 134, 4095] {
            let errno = Errno::new(code);
            assert_eq!((errno.name(), errno.text()), (None, None));
            assert_eq!(errno.to_string(), format!("errno {code}"));
        }
    }

    /// The lookup searches by halves, and Linux has left out two numbers.
    #[test]
    fn the_table_is_sorted_and_complete() {
        let codes: Vec<i32> = TABLE.iter().map(|&(code, _, _)| code).collect();
        let all: Vec<i32> = (1..=133).filter(|code| ![41, 58].contains(code)).collect();
        assert_eq!(codes, all);
        for &(code, name, text) in TABLE {
            assert_eq!(Errno::new(code).name(), Some(name));
            assert_eq!(Errno::new(code).text(), Some(text));
        }
    }

    #[test]
    fn whatever_a_page_can_be_refused_with_is_explained() {
        let explained = |code: &i32| Errno::new(*code).meaning().is_some();
        let codes: Vec<i32> = (0..200).filter(explained).collect();
        assert_eq!(codes, [1, 5, 6, 13, 14, 16, 61, 67, 95, 110, 125, 133]);
    }

    #[test]
    fn io_errors_carry_the_number_both_ways() {
        let error = io::Error::from(Errno::ENODATA);
        assert_eq!(Errno::from_io(&error), Some(Errno::ENODATA));
        assert_eq!(Errno::from_io(&io::Error::other("not the kernel's")), None);
    }
}
