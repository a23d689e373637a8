"""`trainer start|stop|restart|reload|status` and `guard`."""
