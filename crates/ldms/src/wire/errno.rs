//! The error numbers that ldmsd answers with (those of Linux), by name.

macro_rules! errnos {
    ($($name:ident $number:literal $text:literal;)*) => {
        $(#[doc = $text] pub const $name: u32 = $number;)*

        /// The symbol of an error number, such as `EEXIST`.
        #[must_use]
        pub fn symbol(errno: u32) -> Option<&'static str> {
            match errno { $($number => Some(stringify!($name)),)* _ => None }
        }

        /// What an error number means.
        #[must_use]
        pub fn text(errno: u32) -> Option<&'static str> {
            match errno { $($number => Some($text),)* _ => None }
        }
    };
}

errnos! {
    EPERM 1 "operation not permitted";
    ENOENT 2 "no such object";
    EINTR 4 "interrupted";
    EIO 5 "input/output error";
    E2BIG 7 "too long";
    ENOEXEC 8 "address in use, or not executable";
    EAGAIN 11 "try again";
    ENOMEM 12 "out of memory";
    EACCES 13 "permission denied";
    EBUSY 16 "busy";
    EEXIST 17 "exists already";
    EINVAL 22 "invalid argument";
    EDOM 33 "out of domain";
    ENOSYS 38 "not implemented";
    EADDRINUSE 98 "address in use";
    EAFNOSUPPORT 97 "address family not supported";
    ENOTCONN 107 "not connected";
    EREMOTEIO 121 "remote input/output error";
    ENOTSUP 95 "not supported";
}
