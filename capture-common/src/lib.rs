//! Event vocabulary.
#![cfg_attr(not(feature = "std"), no_std)]
