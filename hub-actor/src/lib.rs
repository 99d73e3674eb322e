//! Plans a query, carries the plan out, and permits every flow.
