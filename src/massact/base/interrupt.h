// Cooperative cancellation: a signal handler sets a flag, long loops look at it.
#pragma once

namespace massact {

/// Asks running work to stop at its next check. Async-signal-safe and thread-safe.
void request_interrupt() noexcept;

/// True after `request_interrupt()`.
bool interrupt_requested() noexcept;

/// Forgets a request (for tests and for programs that go on afterwards).
void clear_interrupt() noexcept;

/// Throws Interrupted if a stop was asked for. Long loops call it between units of work.
void check_interrupted();

}  // namespace massact
