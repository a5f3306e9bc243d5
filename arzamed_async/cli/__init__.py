"""The `arzamed` command (extra `cli`).

In reading order:

    main        the entry point, which also works without the extra
    app         the commands
    options     their options, as Typer reads them
    request     the options that commands share, checked
    completion  names of clinics, for a shell
    sources     which clinics: from a file or the environment
    running     runs a command's coroutine, and turns its errors into messages
    session     the session of a command: token store, time limits, proxy
    verbose     what `--verbose` reports
    listing     `doctors`, `slots`, `patients`
    selection   which records these read, and where to
    results     the outcome of each clinic: totals and `--report`
    spool       the records of clinics that are not finished
    formats     records as ndjson, json and csv
    excel       csv for a spreadsheet: encoding, separator
    parquet     records as Parquet
    table       records as a table
    encoding    a record as JSON, for all formats
    output      standard output, written from a thread
    destination files that are written whole or not at all
    model       `model`
    model_source the module that it writes, or widens
    model_file  the file and class of its `--check`
    model_check what that reports
    check       `check`
    tokens      `token`
    init        `init`
    fake        `serve-fake`
    fake_faults what it does wrong
    demo        `demo`
    files       private files that are never overwritten by mistake
    messages    messages for a person, on stderr and stdout
    progress    the progress bar
    ending      the end of the process: flush, then the exit code
    streams     standard streams that remember their first error
    interrupts  Ctrl-C and SIGTERM
"""
