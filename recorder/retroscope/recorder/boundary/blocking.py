"""Which calls may wait: other threads run meanwhile (DESIGN: the turn). And which ask about other processes.

ALWAYS; READ and WRITE: unless the descriptor that is the first argument is ready; SELF_READ and SELF_WRITE: unless
the descriptor of self is ready. Everything else keeps the turn. NOT_SIGNALS: keeps it, but may send a signal to this
very process, whose handler then runs at once.
"""

_CALLS = {
    "BLOCKS_ALWAYS": """
        time.sleep select.select select.poll.poll select.epoll.poll builtins.input
        posix.wait posix.waitpid posix.wait3 posix.wait4 posix.waitid posix.system posix.sched_yield posix.sendfile
        posix.posix_spawn posix.lockf posix.writev posix.fsync posix.fdatasync
        fcntl.flock fcntl.lockf fcntl.fcntl
        _multiprocessing.SemLock.acquire _multiprocessing.SemLock.__enter__
        _signal.pause _signal.sigwait _signal.sigwaitinfo _signal.sigtimedwait
        _socket.socket.connect _socket.socket.connect_ex _socket.socket.sendall _socket.socket.sendmsg
        _socket.getaddrinfo _socket.gethostbyname _socket.gethostbyname_ex _socket.gethostbyaddr _socket.getnameinfo
        _sqlite3.Cursor.execute _sqlite3.Cursor.executemany _sqlite3.Cursor.executescript
        _sqlite3.Connection.commit _sqlite3.Connection.rollback _sqlite3.Connection.__exit__
        _sqlite3.Connection.backup
        _xxsubinterpreters.run_string _xxsubinterpreters.destroy
        _interpreters.run_string _interpreters.run_func _interpreters.exec _interpreters.call _interpreters.destroy
        _tkinter.tkapp.mainloop _tkinter.tkapp.dooneevent _tkinter.tkapp.call _tkinter.tkapp.eval
        _interpchannels.send _interpchannels.send_buffer _interpchannels.recv
        _testcapi.run_in_subinterp _testcapi.run_in_subinterp_with_config
        _testinternalcapi.run_in_subinterp_with_config _testinternalcapi.exec_interpreter
        zmq.backend.cython._zmq.Socket.send zmq.backend.cython._zmq.Socket.recv
        zmq.backend.cython._zmq.Socket.recv_into zmq.backend.cython._zmq.zmq_poll zmq.backend.cython._zmq.proxy
        zmq.backend.cython._zmq.proxy_steerable zmq.backend.cython._zmq.monitored_queue
        zmq.backend.cython._zmq.Context.term
        _curses.napms _curses.window.getch _curses.window.getkey _curses.window.get_wch _curses.window.getstr
        _ssl._SSLSocket.do_handshake _ssl._SSLSocket.read _ssl._SSLSocket.write _ssl._SSLSocket.shutdown
    """,
    "BLOCKS_READ": "posix.read posix.readv",
    "BLOCKS_WRITE": "posix.write",
    "BLOCKS_SELF_READ": """
        _io.FileIO.read _io.FileIO.readall _io.FileIO.readinto
        _socket.socket._accept _socket.socket.recv _socket.socket.recv_into _socket.socket.recvfrom
        _socket.socket.recvfrom_into _socket.socket.recvmsg _socket.socket.recvmsg_into
    """,
    "BLOCKS_SELF_WRITE": "_io.FileIO.write _socket.socket.send _socket.socket.sendto",
    "BLOCKS_NOT_SIGNALS": """
        posix.kill posix.killpg _signal.raise_signal _signal.pthread_kill _signal.alarm _signal.setitimer
        _signal.pthread_sigmask _signal.pidfd_send_signal
    """,
}

BLOCKING = {name: kind for kind, names in _CALLS.items() for name in names.split()}

_ASKING = """
    posix.open posix.openpty posix.stat posix.lstat posix.fstat posix.access posix.readlink posix.listdir posix.scandir
    posix._path_exists posix._path_lexists posix._path_isfile posix._path_isdir posix._path_islink
    posix.mkdir posix.rmdir posix.mkfifo posix.link posix.symlink posix.rename posix.replace posix.unlink posix.remove
    posix.pread posix.preadv posix.lseek posix.kill posix.killpg posix.getppid posix.getpgid posix.pidfd_open
    _io.FileIO.__init__ _multiprocessing.SemLock._get_value _multiprocessing.SemLock._is_zero
    _posixshmem.shm_open _posixshmem.shm_unlink
"""

ASKING = frozenset(_ASKING.split())
"""Do not wait, but tell what other processes have done: whoever sees that may go on to read what those wrote into
memory that they share (recorder/native-core/shared_memory.h)."""
