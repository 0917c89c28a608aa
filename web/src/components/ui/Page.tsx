import { Link } from '@tanstack/react-router';
import { type ReactNode, useEffect } from 'react';
import { Icon } from './Icon';
import classes from './ui.module.css';

interface PageProps {
  title: string;
  lead?: ReactNode;
  back?: { to: string; label: string };
  actions?: ReactNode;
  children: ReactNode;
}

export function Page({ title, lead, back, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · TinySphere`;
  }, [title]);
  return (
    <main className={classes.page}>
      <header className={classes.pageHead}>
        <div>
          {back && (
            <Link to={back.to} className={classes.crumb}>
              <Icon name="back" size={14} />
              {back.label}
            </Link>
          )}
          <h1 className={classes.pageTitle}>{title}</h1>
          {lead !== undefined && <div className={classes.pageLead}>{lead}</div>}
        </div>
        {actions !== undefined && <div className={classes.pageActions}>{actions}</div>}
      </header>
      {children}
    </main>
  );
}

interface PanelProps {
  title: string;
  note?: ReactNode;
  actions?: ReactNode;
  /** The content brings its own spacing, as tables and lists do. */
  flush?: boolean;
  children: ReactNode;
}

export function Panel({ title, note, actions, flush = false, children }: PanelProps) {
  return (
    <section className={classes.panel} aria-label={title}>
      <header className={classes.panelHead}>
        <h2 className={classes.panelTitle}>{title}</h2>
        {note !== undefined && <span className={classes.panelNote}>{note}</span>}
        {actions !== undefined && <div className={classes.panelActions}>{actions}</div>}
      </header>
      <div className={flush ? classes.panelFlush : classes.panelBody}>{children}</div>
    </section>
  );
}
