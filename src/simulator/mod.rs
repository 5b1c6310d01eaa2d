//! A stateful stand-in for Deepgram's management API.
